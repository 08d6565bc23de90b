import { inboxOf } from '../eventlog/connection/inbox.ts';
import { blobStream, eventStream, outputStream } from '../eventlog/stream/provision.ts';
import { coordinator } from '../schemas/events.ts';

/** One login of the NATS server. A writer whose key was changed has one more for each earlier key that is still listed. */
export interface NatsWriter {
  /** The writer's token in subjects: `boltzmann`, `coordinator`, `@lars`; and `admin`. */
  writer: string;
  /** The public NKey, `U…`. The server never holds a secret. */
  publicKey: string;
  role: 'admin' | 'coordinator' | 'person' | 'host';
}

/** The subjects that a login may publish to, and subscribe to. Nothing else, and what is denied is denied in spite of a pattern. */
export interface NatsPermissions {
  publish: { allow: string[]; deny?: string[] };
  subscribe: string[];
}

/** What it takes to read what a writer has put aside. */
const readingBlobs = (fleet: string, writer: string) =>
  `$JS.API.DIRECT.GET.${blobStream}.ka-blob.${fleet}.${writer}.>`;

/** What a host asks for, one subject a service: what its account imports, and with its six patterns all that it may say. */
export const hostServices = (fleet: string, host: string) => ({
  events: `ka.${fleet}.${host}.>`,
  output: `ka-out.${fleet}.${host}.>`,
  pull: `$JS.API.CONSUMER.MSG.NEXT.${eventStream}.${host}`,
  ack: `$JS.ACK.${eventStream}.${host}.>`,
  read: `$JS.API.DIRECT.GET.${eventStream}.ka.${fleet}.${host}.>`,
  blobs: `ka-blob.${fleet}.${host}.>`,
  readBlobs: readingBlobs(fleet, host),
  readAsked: readingBlobs(fleet, coordinator),
});

/**
 * A host writes its own events, what they put aside and its own output, pulls from its own durable, and reads back what is its
 * own, and what the coordinator's requests put aside. It can't ask
 * what a stream or a consumer is, and can't create a consumer: that would let it read everything.
 */
const hostPermissions = (fleet: string, host: string): NatsPermissions => {
  const { pull, ack, read, readBlobs, readAsked } = hostServices(fleet, host);
  return {
    publish: { allow: [`*.${fleet}.${host}.>`, pull, ack, read, readBlobs, readAsked] },
    subscribe: [`${inboxOf(host)}.>`],
  };
};

/** What it takes to follow a stream by consumers of one's own, which end by themselves. */
const following = (stream: string) => [
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}.>`,
  `$JS.API.CONSUMER.INFO.${stream}.*`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
  `$JS.API.CONSUMER.DELETE.${stream}.*`,
];
const readingLog = (fleet: string) => [
  ...following(eventStream),
  `$JS.API.DIRECT.GET.${eventStream}`,
  `$JS.API.DIRECT.GET.${eventStream}.>`,
  readingBlobs(fleet, '*'),
];
/** What a writer's own events and blobs stand under. */
const ownSubjects = (fleet: string, writer: string) => [
  `ka.${fleet}.${writer}.>`,
  `ka-blob.${fleet}.${writer}.>`,
];

/**
 * The coordinator reads the log, makes the hosts' durables anew, and asks how late it is by the output's last message. What is
 * in the durables is for the hosts alone.
 */
const coordinatorPermissions = (
  fleet: string,
  writer: string,
  hosts: readonly string[],
): NatsPermissions => ({
  publish: {
    allow: [...ownSubjects(fleet, writer), ...readingLog(fleet), `$JS.API.STREAM.INFO.${outputStream}`],
    deny: hosts.map((host) => hostServices(fleet, host).pull),
  },
  subscribe: [`${inboxOf(writer)}.>`, `ka-out.${fleet}.*.presence`],
});

/** A person reads the log and the output, and leaves the hosts' durables alone. */
const personPermissions = (fleet: string, writer: string, hosts: readonly string[]): NatsPermissions => ({
  publish: {
    allow: [
      ...ownSubjects(fleet, writer),
      ...readingLog(fleet),
      ...following(outputStream),
      `$JS.API.STREAM.MSG.GET.${outputStream}`,
    ],
    deny: hosts.flatMap((host) => [
      hostServices(fleet, host).pull,
      `$JS.API.CONSUMER.CREATE.${eventStream}.${host}`,
      `$JS.API.CONSUMER.CREATE.${eventStream}.${host}.>`,
      `$JS.API.CONSUMER.DELETE.${eventStream}.${host}`,
    ]),
  },
  subscribe: [`${inboxOf(writer)}.>`],
});

/** The administrator makes the streams, and puts a log that was lost together again: everybody's events are said once more. */
const adminPermissions = (fleet: string, writer: string): NatsPermissions => ({
  publish: { allow: [`ka.${fleet}.>`, `ka-blob.${fleet}.>`, '$JS.API.>'] },
  subscribe: [`${inboxOf(writer)}.>`],
});

/** What a login may do. @param hosts all of the fleet's. */
export const permissionsOf = (
  fleet: string,
  { role, writer }: Pick<NatsWriter, 'role' | 'writer'>,
  hosts: readonly string[],
): NatsPermissions => {
  switch (role) {
    case 'admin':
      return adminPermissions(fleet, writer);
    case 'coordinator':
      return coordinatorPermissions(fleet, writer, hosts);
    case 'person':
      return personPermissions(fleet, writer, hosts);
    case 'host':
      return hostPermissions(fleet, writer);
  }
};
