import { type KeyPeriod, readKeyHistory } from '../../eventlog/signing/key-history.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { WriterRole } from '../../schemas/roles.ts';

/** A writer's keys as the log tells them, beside what the fleet's file pins. */
export interface WriterKeys {
  writer: string;
  role: WriterRole;
  /** null where it was revoked and none came after it. */
  inUse: string | null;
  /** The sequence that made it the writer's; 0 for the key that the log begins with. */
  since: number | null;
  /** Those that count no more, the newest first. */
  earlier: readonly KeyPeriod[];
  pinned: string;
  /** What the fleet's file should say instead; null if it agrees. */
  disagrees: string | null;
}

const disagreement = (inUse: string | null, pinned: readonly string[]): string | null => {
  if (inUse === pinned[0]) return null;
  if (inUse === null) return 'it has no key that counts: make one, and pin it';
  return pinned.includes(inUse)
    ? 'the newer key that is pinned waits until its writer rotates to it'
    : `pin the key in use: publicKey: ${inUse}`;
};

/** The keys of all writers of a fleet. */
export const fleetKeys = (fleet: Fleet, events: readonly LoggedEvent[]): WriterKeys[] => {
  const trust = trustIn(fleet);
  const history = readKeyHistory(trust, events);
  return [...trust.writers].map(([writer, { role, keys }]) => {
    const periods = history.of(writer);
    const inUse = history.inUse(writer);
    return {
      writer,
      role,
      inUse,
      since: inUse === null ? null : (periods.at(-1)?.since ?? null),
      earlier: periods.filter(({ until }) => until !== undefined).reverse(),
      pinned: keys[0] ?? '',
      disagrees: disagreement(inUse, keys),
    };
  });
};
