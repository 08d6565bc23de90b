import type { LoggedEvent } from '../../schemas/events.ts';
import { type FleetEvent, type KaEvent, personWriter } from '../../schemas/events.ts';
import type { Trust } from './trust.ts';
import { isSignedBy, payloadTypes, type WriterKey } from './writer-key.ts';

/** A key that a writer has or had. Sequences are the log's. */
export interface KeyPeriod {
  publicKey: string;
  /** The event that made it the writer's; 0 for the key that the log begins with. */
  since: number;
  /** The event after which the key no longer counts; absent while it is in use. */
  until?: number;
  /** Whether the key was revoked. Otherwise a newer one replaced it. */
  revoked?: boolean;
}

/** Which key each writer had at what time, as it follows from the log. */
export interface KeyHistory {
  /** The key that a writer's next event has to be signed with; null if there is none. */
  inUse(writer: string): string | null;
  /** A writer's keys, the first one first. */
  of(writer: string): readonly KeyPeriod[];
  /**
   * Notes a rotation or a revocation, and ignores other events. Call it once for each event, in the log's order.
   * @returns why the event is refused; undefined if it is not.
   */
  note(event: KaEvent, sequence: number): string | undefined;
  /** The rotation that a writer writes to have another key from then on. The event is signed with the key in use. */
  rotationTo(writer: string, next: WriterKey): { attempt: number; data: Rotation };
}

type Rotation = Extract<FleetEvent, { type: 'KeyRotated' }>['data'];

/** The bytes that a new key signs to become its writer's key: nobody can rotate to somebody else's key. */
const rotationOf = (fleet: string, writer: string, from: string, to: string): Uint8Array =>
  new TextEncoder().encode(JSON.stringify([fleet, writer, from, to]));

/** The data of the event by which a writer takes a new key in place of `from`. */
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
    return false; // it has the form of a key, but a wrong checksum
  }
};

/** Makes the history as it is before the log's first message: a writer begins with its oldest pinned key. */
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
  /** Ends the key in use. @param next the key that takes its place. */
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
  /** The oldest pinned key that was not in use yet takes the place of the revoked one. */
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
      if (event.source !== personWriter(by)) return `${event.source} writes it in the name of ${by}`;
      revoke(writer, publicKey, sequence);
      return undefined;
    },
    rotationTo: (writer, next) => ({
      attempt: (rotations.get(writer) ?? 0) + 1,
      data: rotation(fleet, writer, inUse(writer) ?? '', next),
    }),
  };
};

/** The history that follows from a whole log. @param events the events that a verifier accepted. */
export const readKeyHistory = (trust: Trust, events: readonly LoggedEvent[]): KeyHistory => {
  const history = createKeyHistory(trust);
  for (const { event, sequence } of events) history.note(event, sequence);
  return history;
};
