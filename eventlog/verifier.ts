import { checkEvent, type KeptMessage, type LoggedEvent, type RefusedMessage } from './check-event.ts';
import type { WithheldMessage } from './log-tree.ts';
import { linkTo } from './seal.ts';
import type { Trust, TrustedWriter } from './trust.ts';
import { isSignedBy, payloadTypes } from './writer-key.ts';

export type Verified =
  /**
   * `faults`: it is its writer's, and what else is wrong with it. `contradicts`: the sequence of the writer's event before,
   * where it names another one as that.
   */
  { logged: LoggedEvent; faults: string[]; contradicts?: number } | { refused: RefusedMessage };

/** Checks the messages of a log, each of them once and in order. */
export interface Verifier {
  verify(message: KeptMessage): Verified;
  /** Takes a message that is not shown as the next one of the writer that its subject names. */
  pass(message: WithheldMessage): void;
  /** The public key that a writer has now; null if it has none. */
  keyOf(writer: string): string | null;
}

/** What a new key signs to become its writer's. */
export const rotationOf = (fleet: string, writer: string, from: string, to: string): Uint8Array =>
  new TextEncoder().encode(JSON.stringify([fleet, writer, from, to]));

/**
 * A verifier of a whole log, from its first message on: which key a writer has follows from the rotations and revocations
 * before, and each event has to follow from its writer's event before it.
 */
export const createVerifier = (trust: Trust): Verifier => {
  /** The key that each writer has now; null if it was revoked and none came after it. */
  const keys = new Map<string, string | null>();
  const chains = new Map<string, { seq: number; hash: string; sequence: number }>();
  const writers = new Map<string, TrustedWriter>(trust.writers);
  const current: Trust = { ...trust, writers };
  const use = (writer: string, key: string | null) => {
    const pinned = trust.writers.get(writer);
    if (!pinned) return;
    keys.set(writer, key);
    writers.set(writer, { ...pinned, keys: key === null ? [] : [key] });
  };
  // The oldest key that is pinned is the one that the log begins with.
  for (const [writer, { keys: pinned }] of trust.writers) use(writer, pinned.at(-1) ?? null);

  const rotate = (writer: string, to: string, proof: string): string | undefined => {
    const from = keys.get(writer) ?? '';
    if (!isSignedBy(to, payloadTypes.keyRotation, rotationOf(trust.fleet, writer, from, to), proof))
      return `the new key ${to} has not signed its rotation`;
    const owner = [...trust.writers].find(
      ([name, pinned]) => name !== writer && pinned.keys.includes(to),
    )?.[0];
    if (owner !== undefined) return `the new key is ${owner}'s`;
    use(writer, to);
    return undefined;
  };
  const revoke = (writer: string, key: string): void => {
    if (keys.get(writer) !== key) return;
    // The next newer one that the fleet's file pins takes its place.
    const pinned = trust.writers.get(writer)?.keys ?? [];
    const at = pinned.indexOf(key);
    use(writer, at > 0 ? (pinned[at - 1] ?? null) : null);
  };

  return {
    verify(message) {
      const checked = checkEvent(current, message);
      if ('refused' in checked) return checked;
      const { event, bytes } = checked.logged;
      const { source, writerseq, prevhash } = event;
      const last = chains.get(source);
      const faults: string[] = [];
      let contradicts: number | undefined;
      if (writerseq !== (last?.seq ?? 0) + 1)
        faults.push(
          writerseq <= (last?.seq ?? 0)
            ? `it is ${source}'s event ${writerseq} once more: ${source} has written ${last?.seq} already`
            : `${source}'s events ${(last?.seq ?? 0) + 1} to ${writerseq - 1} are missing before it`,
        );
      else if (prevhash !== last?.hash) {
        faults.push(`it does not follow from ${source}'s event before it`);
        contradicts = last?.sequence;
      }
      if (event.kind === 'fleet' && event.type === 'KeyRotated') {
        const why = rotate(source, event.data.publicKey, event.data.proof);
        if (why !== undefined)
          return { refused: { sequence: message.sequence, subject: message.subject, why } };
      }
      if (event.kind === 'fleet' && event.type === 'KeyRevoked')
        revoke(event.data.writer, event.data.publicKey);
      chains.set(source, { ...linkTo(writerseq, bytes), sequence: message.sequence });
      return { ...checked, faults, ...(contradicts === undefined ? {} : { contradicts }) };
    },
    pass({ sequence, subject, sha256 }) {
      const [, , writer = ''] = subject.split('.');
      chains.set(writer, { seq: (chains.get(writer)?.seq ?? 0) + 1, hash: sha256, sequence });
    },
    keyOf: (writer) => keys.get(writer) ?? null,
  };
};
