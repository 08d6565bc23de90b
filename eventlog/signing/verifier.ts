import { type LoggedEvent, parseSubject } from '../../schemas/events.ts';
import type { WithheldMessage } from '../tree/log-tree.ts';
import { checkEvent, type HasSigned, type KeptMessage, type RefusedMessage } from './check-event.ts';
import { createFirstMessages } from './first-messages.ts';
import { createKeyHistory } from './key-history.ts';
import { linkTo } from './seal.ts';
import type { Trust, TrustedWriter } from './trust.ts';

export type Verified =
  /**
   * `faults`: what is wrong with an event that its writer did sign. `contradicts`: the sequence of the writer's
   * previous event, if this one names another event as its previous one.
   */
  { logged: LoggedEvent; faults: string[]; contradicts?: number } | { refused: RefusedMessage };

/** Checks the messages of a log, each once and in order. */
export interface Verifier {
  /** @param hasSigned see {@link checkEvent}. */
  verify(message: KeptMessage, hasSigned?: HasSigned): Verified;
  /**
   * Takes a withheld message as the next one of the writer that its subject names.
   * @returns why it is refused, if the subject already has a message.
   */
  pass(message: WithheldMessage, seq?: number): RefusedMessage | undefined;
  /** The writer's current public key; null if it has none. */
  keyOf(writer: string): string | null;
}

/** A place in a log up to which everything was verified before. */
export interface VerifiedPlace {
  /** Each writer's last event. */
  chains: Iterable<readonly [writer: string, last: { seq: number; hash: string }]>;
  /** The rotations and revocations, in the log's order. */
  keyChanges: readonly LoggedEvent[];
  /** The sequence of the first message under a subject. */
  firstUnder: (subject: string) => number | undefined;
}

/**
 * A verifier of a whole log, from its first message on. Which key a writer has follows from the earlier rotations and
 * revocations, and each event has to link to its writer's previous event. Of a part of a log, which lacks other
 * iterations, the links can't be checked.
 * @param after goes on after this place instead.
 */
export const createVerifier = (
  trust: Trust,
  { isPart = false, after }: { isPart?: boolean; after?: VerifiedPlace } = {},
): Verifier => {
  const history = createKeyHistory(trust);
  for (const { event, sequence } of after?.keyChanges ?? []) history.note(event, sequence);
  const chains = new Map<string, { seq: number; hash: string; sequence: number }>();
  for (const [writer, last] of after?.chains ?? []) chains.set(writer, { ...last, sequence: 0 });
  /** Each writer with its one current key. */
  const writers = new Map<string, TrustedWriter>();
  const current: Trust = { ...trust, writers };
  const take = (writer: string) => {
    const pinned = trust.writers.get(writer);
    const key = history.inUse(writer);
    if (pinned) writers.set(writer, { ...pinned, keys: key === null ? [] : [key] });
  };
  for (const writer of trust.writers.keys()) take(writer);
  const firsts = createFirstMessages(after?.firstUnder);
  const second = (message: KeptMessage | WithheldMessage): RefusedMessage | undefined => {
    const { sequence, subject } = message;
    const why = firsts.refuse(message);
    return why === undefined ? undefined : { sequence, subject, cause: 'second', why };
  };

  return {
    verify(message, hasSigned) {
      const refused = second(message);
      if (refused) return { refused };
      const checked = checkEvent(current, message, hasSigned);
      if ('refused' in checked) return checked;
      const { event, bytes } = checked.logged;
      const { source, writerseq, prevhash } = event;
      const why = history.note(event, message.sequence);
      if (why !== undefined)
        return { refused: { sequence: message.sequence, subject: message.subject, cause: 'key', why } };
      take(source);
      if (event.kind === 'fleet' && event.type === 'KeyRevoked') take(event.data.writer);
      if (isPart) return { logged: checked.logged, faults: [] };
      const last = chains.get(source);
      const faults: string[] = [];
      let contradicts: number | undefined;
      if (writerseq !== (last?.seq ?? 0) + 1)
        faults.push(
          writerseq <= (last?.seq ?? 0)
            ? `it is ${source}'s event ${writerseq} again: ${source} has already written event ${last?.seq}`
            : `${source}'s events ${(last?.seq ?? 0) + 1} to ${writerseq - 1} are missing before it`,
        );
      else if (prevhash !== last?.hash) {
        faults.push(`it does not follow from ${source}'s event before it`);
        contradicts = last?.sequence;
      }
      chains.set(source, { ...linkTo(writerseq, bytes), sequence: message.sequence });
      return { logged: checked.logged, faults, ...(contradicts === undefined ? {} : { contradicts }) };
    },
    pass(message, seq) {
      const refused = second(message);
      if (refused) return refused;
      const { sequence, subject, sha256 } = message;
      const writer = parseSubject(subject)?.writer ?? '';
      chains.set(writer, { seq: seq ?? (chains.get(writer)?.seq ?? 0) + 1, hash: sha256, sequence });
      return undefined;
    },
    keyOf: (writer) => history.inUse(writer),
  };
};
