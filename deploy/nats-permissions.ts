import { personWriter } from '../schemas/events.ts';

/** A login of the NATS server, with what it may say and hear. Without permissions it may do everything. */
export interface NatsUser {
  /** The public NKey. The server never holds a secret. */
  publicKey: string;
  permissions?: { publish: readonly string[]; subscribe: readonly string[] };
}

/** Where a writer's replies arrive. A shared `_INBOX.>` would let one host read another's. */
const inboxPrefix = (writer: string): string => `_INBOX_${writer}`;

const inbox = (writer: string) => `${inboxPrefix(writer)}.>`;

/**
 * A host writes its own facts and its own output, pulls from its own durable and reads its own events back.
 * It can't create a consumer: that would let it read everything.
 */
const hostPermissions = (fleet: string, host: string) => ({
  publish: [
    `ka.${fleet}.${host}.>`,
    `ka-out.${fleet}.${host}.>`,
    `$JS.API.CONSUMER.MSG.NEXT.KA.${host}`,
    `$JS.API.CONSUMER.INFO.KA.${host}`,
    `$JS.ACK.KA.${host}.>`,
    '$JS.API.STREAM.INFO.KA',
    `$JS.API.DIRECT.GET.KA.ka.${fleet}.${host}.>`,
  ],
  subscribe: [inbox(host)],
});

/**
 * The coordinator and the operator read everything, through consumers of their own. Of STREAM.* they get what
 * only reads: an update with `max_msgs: 1` cuts the log in spite of `deny_delete`.
 */
const readerPermissions = (fleet: string, writer: string) => ({
  publish: [
    `ka.${fleet}.${writer}.>`,
    '$JS.API.INFO',
    '$JS.API.STREAM.INFO.*',
    '$JS.API.STREAM.NAMES',
    '$JS.API.STREAM.LIST',
    '$JS.API.STREAM.MSG.GET.*',
    '$JS.API.DIRECT.GET.>',
    '$JS.API.CONSUMER.>',
    '$JS.ACK.>',
    '$JS.FC.>',
  ],
  subscribe: [inbox(writer), `ka-out.${fleet}.*.presence`],
});

export interface FleetPublicKeys {
  /** Creates the streams and the hosts' durables: needed when a fleet or a host is set up, and never else. */
  admin: string;
  coordinator: string;
  /** By the person's name. */
  operators: Readonly<Record<string, string>>;
  hosts: Readonly<Record<string, string>>;
}

/** The fleet's NATS users, each with the least that it needs. Keys are public NKeys. */
export const fleetUsers = (fleet: string, keys: FleetPublicKeys): NatsUser[] => [
  { publicKey: keys.admin },
  { publicKey: keys.coordinator, permissions: readerPermissions(fleet, 'coordinator') },
  ...Object.entries(keys.operators).map(([name, publicKey]) => ({
    publicKey,
    permissions: readerPermissions(fleet, personWriter(name)),
  })),
  ...Object.entries(keys.hosts).map(([host, publicKey]) => ({
    publicKey,
    permissions: hostPermissions(fleet, host),
  })),
];
