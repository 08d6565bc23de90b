import { inboxOf } from '../eventlog/connection/inbox.ts';
import {
  blobStream,
  eventStream,
  outputStream,
  presenceStream,
  presenceSubject,
} from '../eventlog/stream/provision.ts';
import { coordinator } from '../schemas/events.ts';

/**
 * One login of the NATS server. A writer with a rotated key has one more login for each earlier key that is still
 * listed.
 */
export interface NatsWriter {
  /** The writer's token in subjects: `boltzmann`, `coordinator`, `@lars`; and `admin`. */
  writer: string;
  /** The public NKey, `U…`. The server never holds a secret. */
  publicKey: string;
  role: 'admin' | 'coordinator' | 'person' | 'host' | 'keeper';
}

/**
 * The only subjects to which a login may publish and subscribe. A denied subject is denied even if a pattern allows it.
 */
export interface NatsPermissions {
  publish: { allow: string[]; deny?: string[] };
  subscribe: string[];
}

/** The subject for reading a writer's blobs. */
const readingBlobs = (fleet: string, writer: string) =>
  `$JS.API.DIRECT.GET.${blobStream}.ka-blob.${fleet}.${writer}.>`;

/** The subjects that a host's account imports, one per service. Its seven patterns allow nothing else. */
export const hostServices = (fleet: string, host: string) => ({
  events: `ka.${fleet}.${host}.>`,
  output: `ka-out.${fleet}.${host}.>`,
  presence: presenceSubject(fleet, host),
  pull: `$JS.API.CONSUMER.MSG.NEXT.${eventStream}.${host}`,
  ack: `$JS.ACK.${eventStream}.${host}.>`,
  read: `$JS.API.DIRECT.GET.${eventStream}.ka.${fleet}.${host}.>`,
  blobs: `ka-blob.${fleet}.${host}.>`,
  readBlobs: readingBlobs(fleet, host),
  readAsked: readingBlobs(fleet, coordinator),
});

/**
 * A host writes its own events, blobs, output and presence, pulls from its own durable, and reads its own events and blobs and
 * the coordinator's blobs. It can't ask for the state of a stream or a consumer, and can't create a consumer, with
 * which it could read everything.
 */
const hostPermissions = (fleet: string, host: string): NatsPermissions => {
  const { presence, pull, ack, read, readBlobs, readAsked } = hostServices(fleet, host);
  return {
    publish: { allow: [`*.${fleet}.${host}.>`, presence, pull, ack, read, readBlobs, readAsked] },
    subscribe: [`${inboxOf(host)}.>`],
  };
};

/** The subjects for following a stream with own consumers, which expire by themselves. */
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
/** The subjects of a writer's own events and blobs. */
const ownSubjects = (fleet: string, writer: string) => [
  `ka.${fleet}.${writer}.>`,
  `ka-blob.${fleet}.${writer}.>`,
];

/**
 * The coordinator reads the log, makes the hosts' durables again, and reads the time from the last presence. It
 * may not pull from the hosts' durables.
 */
const coordinatorPermissions = (
  fleet: string,
  writer: string,
  hosts: readonly string[],
): NatsPermissions => ({
  publish: {
    allow: [...ownSubjects(fleet, writer), ...readingLog(fleet), `$JS.API.STREAM.INFO.${presenceStream}`],
    deny: hosts.map((host) => hostServices(fleet, host).pull),
  },
  subscribe: [`${inboxOf(writer)}.>`, presenceSubject(fleet, '*')],
});

/** What would change the hosts' durables, or take from them. */
const touchingDurables = (fleet: string, hosts: readonly string[]) =>
  hosts.flatMap((host) => [
    hostServices(fleet, host).pull,
    `$JS.API.CONSUMER.CREATE.${eventStream}.${host}`,
    `$JS.API.CONSUMER.CREATE.${eventStream}.${host}.>`,
    `$JS.API.CONSUMER.DELETE.${eventStream}.${host}`,
  ]);

/** A person reads the log, the output and the last presences, and may not touch the hosts' durables. */
const personPermissions = (fleet: string, writer: string, hosts: readonly string[]): NatsPermissions => ({
  publish: {
    allow: [
      ...ownSubjects(fleet, writer),
      ...readingLog(fleet),
      ...following(outputStream),
      `$JS.API.STREAM.INFO.${presenceStream}`,
      `$JS.API.STREAM.MSG.GET.${presenceStream}`,
    ],
    deny: touchingDurables(fleet, hosts),
  },
  subscribe: [`${inboxOf(writer)}.>`],
});

/** The administrator makes the streams and restores a lost log, for which everybody's events are published again. */
const adminPermissions = (fleet: string, writer: string): NatsPermissions => ({
  publish: { allow: [`ka.${fleet}.>`, `ka-blob.${fleet}.>`, '$JS.API.>'] },
  subscribe: [`${inboxOf(writer)}.>`],
});

/** The keeper sees what each writer adds to the streams, and shows whom it has silenced. */
const keeperPermissions = (fleet: string, writer: string, hosts: readonly string[]): NatsPermissions => ({
  publish: {
    allow: [eventStream, blobStream, outputStream].flatMap(following).concat(presenceSubject(fleet, writer)),
    deny: touchingDurables(fleet, hosts),
  },
  subscribe: [`${inboxOf(writer)}.>`],
});

/** The subjects under which a writer adds to the streams: a silenced writer may not use them. */
export const addingSubjects = (fleet: string, writer: string): string[] => [
  `*.${fleet}.${writer}.>`,
  presenceSubject(fleet, writer),
];

/** What a login may do. @param hosts all hosts of the fleet. */
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
    case 'keeper':
      return keeperPermissions(fleet, writer, hosts);
    case 'host':
      return hostPermissions(fleet, writer);
  }
};
