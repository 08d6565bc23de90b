import type { NatsConnection } from 'nats';
import { z } from 'zod';

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
  unsent: z.int(),
});
export type Presence = z.infer<typeof Presence>;

export const presenceEveryMs = 2_000;

const subject = (fleet: string, host: string) => `ka-out.${fleet}.${host}.presence`;

export const sayPresent = (connection: NatsConnection, fleet: string, presence: Presence): void => {
  if (!connection.isClosed()) connection.publish(subject(fleet, presence.host), JSON.stringify(presence));
};

/** Hands over each presence as it is said. Gives the way to stop listening. */
export const listenForPresence = (
  connection: NatsConnection,
  fleet: string,
  onPresence: (presence: Presence) => void,
): (() => void) => {
  const subscription = connection.subscribe(subject(fleet, '*'), {
    callback: (error, message) => {
      if (error) return;
      const parsed = Presence.safeParse(message.json());
      // A host speaks for itself alone: the server lets nobody else publish under its token.
      if (parsed.success && message.subject === subject(fleet, parsed.data.host)) onPresence(parsed.data);
    },
  });
  return () => subscription.unsubscribe();
};

/** The last presence of each host that the output stream still holds. */
export const lastPresences = async (
  connection: NatsConnection,
  fleet: string,
  hosts: readonly string[],
  stream: string,
): Promise<Map<string, Presence>> => {
  const manager = await connection.jetstreamManager();
  const found = new Map<string, Presence>();
  for (const host of hosts) {
    try {
      const message = await manager.streams.getMessage(stream, { last_by_subj: subject(fleet, host) });
      const parsed = Presence.safeParse(message.json());
      if (parsed.success) found.set(host, parsed.data);
    } catch {
      // never seen, or long ago
    }
  }
  return found;
};
