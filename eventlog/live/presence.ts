import type { NatsConnection } from 'nats';
import { z } from 'zod';
import { Limit } from '../../schemas/limits.ts';
import { readJson } from '../files/read-json.ts';
import { logManager, presenceStream, presenceSubject as subject } from '../stream/provision.ts';

/** What a host keeps of one kind on its disks, and how much of it its config allows. */
const DiskUse = z.object({
  kind: z.string(),
  number: z.int().min(0),
  bytes: z.number().min(0),
  limit: z.object(Limit.shape),
});
export type DiskUse = z.infer<typeof DiskUse>;

/** What a host reports about itself every few seconds. Only the last presence of each host is kept. */
export const Presence = z.object({
  host: z.string(),
  role: z.string(),
  time: z.string(),
  bootId: z.string(),
  release: z.string(),
  package: z.string().nullable(),
  /** What the host is doing: `iter5 build 1`, or null. */
  running: z.string().nullable(),
  /** Own events that are not in the log yet. */
  unsent: z.int().min(0),
  /** The attempts that are open in its journal: `iter5 build 1`. Absent from older agents. */
  open: z.array(z.string()).optional(),
  /** The stream's sequence up to which the host's journal holds everything that was for the host. */
  position: z.int().min(0).optional(),
  /** The last checkpoint that the host received; absent if none. */
  checkpoint: z.object({ epoch: z.int().min(1), size: z.int().min(0) }).optional(),
  /** Why the agent does not work, for a person; null if it works. */
  trouble: z.string().nullable().optional(),
  /** What it keeps. Absent from older agents, and until it has looked; left out where this version can't read it. */
  disks: z.array(DiskUse).optional().catch(undefined),
});
export type Presence = z.infer<typeof Presence>;

/** How often a host reports while it has something to do, and while it has nothing. */
export const presenceEveryMs = 2_000;
export const idlePresenceEveryMs = 10_000;

/**
 * Whether a host that was last heard so long ago counts as present. One presence may have been missed.
 * @param graceSeconds how long the fleet's file lets the host be silent.
 */
export const isPresent = (silentSeconds: number | undefined, graceSeconds: number): boolean =>
  silentSeconds !== undefined && silentSeconds <= Math.min(Math.max(graceSeconds, 15), 30);

/** Replaces the host's previous presence. */
export const sayPresent = (connection: NatsConnection, fleet: string, presence: Presence): void => {
  if (connection.isClosed() || connection.isDraining()) return;
  connection.publish(subject(fleet, presence.host), JSON.stringify(presence));
};

/** Calls `onPresence` for each presence as it arrives. @returns a function that stops listening. */
export const listenForPresence = (
  connection: NatsConnection,
  fleet: string,
  onPresence: (presence: Presence) => void,
): (() => void) => {
  const subscription = connection.subscribe(subject(fleet, '*'), {
    callback: (error, message) => {
      // Nothing may throw here: that would end the client's reading of the connection.
      const presence = error ? undefined : readJson(Presence, message.data);
      // A host may report only itself: the server lets nobody else publish under its token.
      if (presence && message.subject === subject(fleet, presence.host)) onPresence(presence);
    },
  });
  return () => subscription.unsubscribe();
};

/** The last presence of each host, with the server's time: a board's clock may be wrong. */
export const lastPresences = async (
  connection: NatsConnection,
  fleet: string,
  hosts: readonly string[],
): Promise<Map<string, Presence>> => {
  const manager = await logManager(connection);
  const found = new Map<string, Presence>();
  for (const host of hosts) {
    try {
      const message = await manager.streams.getMessage(presenceStream, {
        last_by_subj: subject(fleet, host),
      });
      const presence = readJson(Presence, message.data);
      if (presence?.host === host) found.set(host, { ...presence, time: message.time.toISOString() });
    } catch {
      // never seen
    }
  }
  return found;
};
