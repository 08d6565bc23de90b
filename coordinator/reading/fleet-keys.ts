import { type KeyPeriod, readKeyHistory } from '../../eventlog/signing/key-history.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { WriterRole } from '../../schemas/roles.ts';

/** A writer's keys in the log, compared with what the fleet's file pins. */
export interface WriterKeys {
  writer: string;
  role: WriterRole;
  /** Null if the last key was revoked and no other followed. */
  inUse: string | null;
  /** The sequence from which the key is in use; 0 for the key with which the log begins. */
  since: number | null;
  /** The keys that are no longer in use, newest first. */
  earlier: readonly KeyPeriod[];
  pinned: string;
  /** What the fleet's file should hold instead; null if it agrees. */
  disagrees: string | null;
}

const disagreement = (inUse: string | null, pinned: readonly string[]): string | null => {
  if (inUse === pinned[0]) return null;
  if (inUse === null) return 'it has no key in use: make one, and pin it';
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
