import type { LoggedEvent } from '../../schemas/events.ts';
import { type FleetEvent, type KaEvent, personWriter } from '../../schemas/events.ts';
import type { Trust } from './trust.ts';
import { isSignedBy, payloadTypes, type WriterKey } from './writer-key.ts';

/** A key that a writer has or had. Sequences are the log's. */
export interface KeyPeriod {
  publicKey: string;
  /** The event that made it the writer's; 0 for the key that the log begins with. */
  since: number;
  /** The event after which it counts no more; absent while it is in use. */
  until?: number;
  /** Whether it was revoked. Otherwise the writer had a newer one. */
  revoked?: boolean;
}

/** Which key each writer had when, as the log tells it. */
export interface KeyHistory {
  /** The key that a writer's next event has to be signed with; null if there is none. */
  inUse(writer: string): string | null;
  /** A writer's keys, the first one first. */
  of(writer: string): readonly KeyPeriod[];
  /**
   * Takes note of a rotation or a revocation; of another event nothing. Each of them once, in the log's order.
   * @returns why nothing is made of it, if so.
   */
  note(event: KaEvent, sequence: number): string | undefined;
  /** What a writer says to have another key from then on. It is signed with the key in use. */
  rotationTo(writer: string, next: WriterKey): { attempt: number; data: Rotation };
}

type Rotation = Extract<FleetEvent, { type: 'KeyRotated' }>['data'];

/** What a new key signs to become its writer's: nobody rotates to a key that is another's. */
const rotationOf = (fleet: string, writer: string, from: string, to: string): Uint8Array =>
  new TextEncoder().encode(JSON.stringify([fleet, writer, from, to]));

/** What a writer says when it takes a new key in place of `from`. */
export const rotation = (fleet: string, writer: string, from: string, next: WriterKey): Rotation => ({
  publicKey: next.publicKey,
  proof: next.sign(payloadTypes.keyRotation, rotationOf(fleet, writer, from, next.publicKey)),
});

const hasConsented = (
  fleet: string,
  writer: string,
  from: string,
  { publicKey, proof }: Rotation,
): boolean => {
  try {
    return isSignedBy(publicKey, payloadTypes.keyRotation, rotationOf(fleet, writer, from, publicKey), proof);
  } catch {
    return false; // its letters are a key's, its checksum is not
  }
};

/** The history before the log's first message: the oldest key that is pinned of a writer is the one that it begins with. */
export const createKeyHistory = ({ fleet, writers }: Trust): KeyHistory => {
  const histories = new Map<string, KeyPeriod[]>(
    [...writers].map(([writer, { keys }]) => {
      const first = keys.at(-1);
      return [writer, first === undefined ? [] : [{ publicKey: first, since: 0 }]];
    }),
  );
  const rotations = new Map<string, number>();
  const of = (writer: string) => histories.get(writer) ?? [];
  const inUse = (writer: string) => {
    const last = of(writer).at(-1);
    return last === undefined || last.until !== undefined ? null : last.publicKey;
  };
  /** Ends the key in use. @param next the one that takes its place. */
  const replace = (writer: string, at: number, next: string | undefined, revoked: boolean) => {
    const known = of(writer);
    const last = known.at(-1);
    if (last) known[known.length - 1] = { ...last, until: at, ...(revoked ? { revoked } : {}) };
    if (next !== undefined) known.push({ publicKey: next, since: at });
  };
  const ownerOf = (key: string): string | undefined =>
    [...writers].find(
      ([name, { keys }]) => of(name).some(({ publicKey }) => publicKey === key) || keys.includes(key),
    )?.[0];

  const rotate = (writer: string, said: Rotation, at: number): string | undefined => {
    const { publicKey } = said;
    if (!hasConsented(fleet, writer, inUse(writer) ?? '', said))
      return `the new key ${publicKey} has not signed its rotation`;
    const owner = ownerOf(publicKey);
    if (owner !== undefined && owner !== writer) return `the new key is ${owner}'s`;
    if (of(writer).some((one) => one.publicKey === publicKey))
      return `the new key ${publicKey} is one that ${writer} had before`;
    replace(writer, at, publicKey, false);
    rotations.set(writer, (rotations.get(writer) ?? 0) + 1);
    return undefined;
  };
  /** The oldest key that is pinned and was not in use yet takes the place of the revoked one. */
  const revoke = (writer: string, key: string, at: number): void => {
    if (inUse(writer) !== key) return;
    const pinned = writers.get(writer)?.keys ?? [];
    const had = of(writer).map(({ publicKey }) => pinned.indexOf(publicKey));
    const newest = Math.min(...had.filter((place) => place >= 0));
    replace(writer, at, pinned[newest - 1], true);
  };

  return {
    inUse,
    of,
    note(event, sequence) {
      if (event.kind !== 'fleet') return undefined;
      if (event.type === 'KeyRotated') return rotate(event.source, event.data, sequence);
      if (event.type !== 'KeyRevoked') return undefined;
      const { by, writer, publicKey } = event.data;
      if (event.source !== personWriter(by)) return `${event.source} says it in the name of ${by}`;
      revoke(writer, publicKey, sequence);
      return undefined;
    },
    rotationTo: (writer, next) => ({
      attempt: (rotations.get(writer) ?? 0) + 1,
      data: rotation(fleet, writer, inUse(writer) ?? '', next),
    }),
  };
};

/** The history that a whole log tells. @param events as a verifier let them through. */
export const readKeyHistory = (trust: Trust, events: readonly LoggedEvent[]): KeyHistory => {
  const history = createKeyHistory(trust);
  for (const { event, sequence } of events) history.note(event, sequence);
  return history;
};
