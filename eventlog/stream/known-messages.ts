import { setImmediate as otherWork } from 'node:timers/promises';
import type { KeptMessage } from '../signing/check-event.ts';
import type { Verified, Verifier } from '../signing/verifier.ts';
import { comparedAtOnce, type Handed } from './follow-stream.ts';

/** A message that a reader has checked before, and kept as it was. */
export interface KnownMessage extends KeptMessage {
  /** The event's number among those of its writer; 0 if the message was refused. */
  seq: number;
  /** sha256 of the message's bytes. */
  hash: string;
  /** The reader needs no more of it: it only takes its place in its writer's chain. */
  passed?: true;
}

/** The signature of a message was good at this very place of the log when it was kept. */
const wasChecked = () => true;

/** So many are delivered before other work has its turn. */
const atOnce = 256;

/**
 * Delivers what a reader knows, as if it came from the log. Signatures are not checked again, except of what was refused.
 * @param take receives each message, and what was found of it unless it is passed.
 * @returns the last messages, to be compared with the log; undefined if what was kept can't be read: nothing that was
 * delivered counts then.
 */
export const deliverKnown = async (
  known: Iterable<KnownMessage>,
  verifier: Pick<Verifier, 'verify' | 'pass'>,
  take: (message: KeptMessage, verified?: Verified) => Promise<void>,
  signal?: AbortSignal,
): Promise<Handed[] | undefined> => {
  const last: Handed[] = [];
  const messages = known[Symbol.iterator]();
  for (let count = 1; ; count += 1) {
    let message: KnownMessage | undefined;
    try {
      message = messages.next().value;
    } catch {
      return undefined; // whoever keeps them has reported it
    }
    if (message === undefined || signal?.aborted) return last;
    const { sequence, hash } = message;
    if (message.passed) {
      verifier.pass({ ...message, sha256: hash }, message.seq);
      await take(message);
    } else await take(message, verifier.verify(message, message.seq > 0 ? wasChecked : undefined));
    if (last.push({ sequence, hash }) > comparedAtOnce) last.shift();
    if (count % atOnce === 0) await otherWork();
  }
};
