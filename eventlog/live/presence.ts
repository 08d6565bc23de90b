import { headers, type NatsConnection } from 'nats';
import { z } from 'zod';
import { Limit } from '../../schemas/limits.ts';
import { readJson } from '../files/read-json.ts';
import { logManager } from '../stream/provision.ts';

/** What a host keeps of one kind on its disks, and how much of it its config allows. */
const DiskUse = z.object({
  kind: z.string(),
  number: z.int().min(0),
  bytes: z.number().min(0),
  limit: z.object(Limit.shape),
});
export type DiskUse = z.infer<typeof DiskUse>;

/** What a host says of itself every few seconds. It is kept nowhere but as the last word of each host. */
export const Presence = z.object({
  host: z.string(),
  role: z.string(),
  time: z.string(),
  bootId: z.string(),
  release: z.string(),
  package: z.string().nullable(),
  /** What it is doing: `iter5 build 1`, or null. */
  running: z.string().nullable(),
  /** Own events that are not in the log yet. */
  unsent: z.int().min(0),
  /** The attempts that are open in its journal: `iter5 build 1`. Absent from older agents. */
  open: z.array(z.string()).optional(),
  /** The stream's sequence up to which its journal holds what was for it. */
  position: z.int().min(0).optional(),
  /** The last checkpoint that it was told; absent if none. */
  checkpoint: z.object({ epoch: z.int().min(1), size: z.int().min(0) }).optional(),
  /** Why it does not work, for a person; null if it does. */
  trouble: z.string().nullable().optional(),
  /** What it keeps. Absent from older agents, and until it has looked; left out where this version can't read it. */
  disks: z.array(DiskUse).optional().catch(undefined),
});
export type Presence = z.infer<typeof Presence>;

export const presenceEveryMs = 2_000;

const subject = (fleet: string, host: string) => `ka-out.${fleet}.${host}.presence`;

/** Replaces what the host said before: kept one by one, presences would push the steps' output out of its stream. */
export const sayPresent = (connection: NatsConnection, fleet: string, presence: Presence): void => {
  if (connection.isClosed() || connection.isDraining()) return;
  const head = headers();
  head.set('Nats-Rollup', 'sub');
  connection.publish(subject(fleet, presence.host), JSON.stringify(presence), { headers: head });
};

/** Hands over each presence as it is said. Gives the way to stop listening. */
export const listenForPresence = (
  connection: NatsConnection,
  fleet: string,
  onPresence: (presence: Presence) => void,
): (() => void) => {
  const subscription = connection.subscribe(subject(fleet, '*'), {
    callback: (error, message) => {
      // Nothing may be thrown here: it would end the client's reading of the connection.
      const presence = error ? undefined : readJson(Presence, message.data);
      // A host speaks for itself alone: the server lets nobody else publish under its token.
      if (presence && message.subject === subject(fleet, presence.host)) onPresence(presence);
    },
  });
  return () => subscription.unsubscribe();
};

/** The last presence of each host that the output stream still holds, with the server's time: a board's own may be wrong. */
export const lastPresences = async (
  connection: NatsConnection,
  fleet: string,
  hosts: readonly string[],
  stream: string,
): Promise<Map<string, Presence>> => {
  const manager = await logManager(connection);
  const found = new Map<string, Presence>();
  for (const host of hosts) {
    try {
      const message = await manager.streams.getMessage(stream, { last_by_subj: subject(fleet, host) });
      const presence = readJson(Presence, message.data);
      if (presence?.host === host) found.set(host, { ...presence, time: message.time.toISOString() });
    } catch {
      // never seen, or long ago
    }
  }
  return found;
};
