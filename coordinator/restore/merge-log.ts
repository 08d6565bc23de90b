import { checkEvent } from '../../eventlog/signing/check-event.ts';
import { createKeyHistory } from '../../eventlog/signing/key-history.ts';
import { linkTo } from '../../eventlog/signing/seal.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import type { HeldMessage } from './restore-sources.ts';

/** An event of the rebuilt log, with its new sequence. */
export interface MergedEvent extends LoggedEvent {
  signature: string;
  from: string;
  /** Its former sequence, if a source knows it. */
  before: number | null;
}

export interface MergedLog {
  events: MergedEvent[];
  /** Messages that a source has and the log can't take, in words. */
  leftOut: string[];
  /** Sequences below the highest known one that no source has. */
  missingSequences: number[];
  /** A writer → how many of its events no source has, by the writer's own count. */
  missingOf: Map<string, number>;
  /** Events that others name as their cause and no source has, as `writer/id`. */
  missingCauses: string[];
  /** The highest epoch that a person has begun, by all events, including those that are left out. */
  epoch: number;
}

const idOf = ({ event }: LoggedEvent): string => `${event.source}/${event.id}`;

const hashOf = ({ event, bytes }: LoggedEvent): string => linkTo(event.writerseq, bytes).hash;

/** Only a person's word begins an epoch: whatever epoch another event names, it may be made up. */
const epochOf = ({ event }: LoggedEvent): number =>
  event.kind === 'fleet' && event.type === 'LogRestored' ? event.data.epoch : 1;

/**
 * Each writer's events in its own order, without those that do not follow from the event before, and without what
 * follows those.
 * @param abandoned the hashes of events that are already left out; this function adds more.
 */
const chainsOf = (
  events: readonly MergedEvent[],
  abandoned: Set<string>,
  leftOut: string[],
): Map<string, MergedEvent[]> => {
  const chains = new Map<string, MergedEvent[]>();
  // Of two events with the same count, the log went on with the first.
  const ordered = [...events].sort((a, b) => a.event.writerseq - b.event.writerseq);
  for (const one of ordered) {
    const { source, writerseq, prevhash } = one.event;
    const chain = chains.get(source) ?? [];
    chains.set(source, chain);
    const last = chain.at(-1);
    const leave = (why: string) => {
      leftOut.push(`${idOf(one)}: ${why}`);
      abandoned.add(hashOf(one));
    };
    if (last?.event.writerseq === writerseq) leave(`${source} has another event with the same count`);
    else if (last?.event.writerseq === writerseq - 1 && hashOf(last) !== prevhash)
      leave(`it does not follow ${source}'s event before it`);
    // If no source has the events in between, only the link shows this.
    else if (prevhash !== undefined && abandoned.has(prevhash))
      leave(`it follows an event of ${source} that is left out`);
    else chain.push(one);
  }
  return chains;
};

/**
 * Why a message does not count at its place, although its key is pinned for its writer: the key was revoked or replaced
 * before it. Judged only for messages from the source of the key events, since only there the sequences are comparable.
 */
const keyJudge = (trust: Trust, held: readonly HeldMessage[]) => {
  const history = createKeyHistory(trust);
  let source: string | undefined;
  const keyMessages = held
    .filter(({ subject }) => /\.Key(Rotated|Revoked)\./.test(subject))
    .sort((a, b) => (a.sequence ?? 0) - (b.sequence ?? 0));
  for (const { sequence, from, ...message } of keyMessages) {
    if (sequence === null || (source !== undefined && source !== from)) continue;
    const checked = checkEvent(trust, { ...message, sequence });
    if ('refused' in checked) continue;
    source = from;
    history.note(checked.logged.event, sequence);
  }
  return ({ from, sequence }: HeldMessage, writer: string, key: string): string | undefined => {
    if (from !== source || sequence === null) return undefined;
    const period = history.of(writer).find(({ publicKey }) => publicKey === key);
    const isIn = period && sequence >= period.since && sequence <= (period.until ?? sequence);
    return isIn ? undefined : `${writer} had another key there than the one that signed it`;
  };
};

/** The held messages, one per subject. */
interface Held {
  bySubject: Map<string, MergedEvent>;
  /** The hashes of further messages under a subject, after its first. */
  abandoned: Set<string>;
  leftOut: string[];
  epoch: number;
}

/** Checks the held messages, and takes the first good one of each subject. */
const firstOfEach = (trust: Trust, held: readonly HeldMessage[]): Held => {
  const leftOut: string[] = [];
  const abandoned = new Set<string>();
  let epoch = 1;
  const bySubject = new Map<string, MergedEvent>();
  const judge = keyJudge(trust, held);
  for (const one of held) {
    const { sequence, subject, bytes, signature, from } = one;
    const known = bySubject.get(subject);
    if (known) {
      known.before ??= sequence;
      if (Buffer.compare(known.bytes, bytes) === 0) continue;
    }
    const checked = checkEvent(trust, { sequence: sequence ?? 0, subject, bytes, signature });
    if ('refused' in checked) {
      if (!known) leftOut.push(`${subject} of ${from}: ${checked.refused.why}`);
      continue;
    }
    const why = judge(one, checked.logged.event.source, checked.key);
    if (why !== undefined) {
      leftOut.push(`${subject} of ${from}: ${why}`);
      continue;
    }
    epoch = Math.max(epoch, epochOf(checked.logged));
    if (known) abandoned.add(hashOf(checked.logged));
    else bySubject.set(subject, { ...checked.logged, signature, from, before: sequence });
  }
  return { bySubject, abandoned, leftOut, epoch };
};

/** The events, each following from the one before of its writer. */
interface Chained {
  chains: ReadonlyMap<string, readonly MergedEvent[]>;
  all: readonly MergedEvent[];
  /** Of several events with one id, which are for different hosts, the last. */
  byId: ReadonlyMap<string, MergedEvent>;
}

/**
 * Orders events by their former places; but each writer's events stay in its own order, and no event comes before its
 * cause.
 */
const inOrder = ({ chains, all, byId }: Chained): MergedEvent[] => {
  const previous = new Map<MergedEvent, MergedEvent>();
  for (const chain of chains.values())
    chain.forEach((one, index) => {
      const before = chain[index - 1];
      if (before) previous.set(one, before);
    });

  const firsts = (one: MergedEvent) => [
    previous.get(one),
    one.event.causationid === undefined ? undefined : byId.get(one.event.causationid),
  ];
  const begun = new Set<MergedEvent>();
  const events: MergedEvent[] = [];
  /** Places an event after all events that must come before it, which may be a writer's whole chain. */
  const place = (wanted: MergedEvent): void => {
    const waiting = begun.has(wanted) ? [] : [wanted];
    for (let one = waiting.at(-1); one; one = waiting.at(-1)) {
      begun.add(one);
      const first = firsts(one).find((each) => each !== undefined && !begun.has(each));
      if (first) {
        waiting.push(first);
        continue;
      }
      waiting.pop();
      events.push({ ...one, sequence: events.length + 1 });
    }
  };
  const end = Number.POSITIVE_INFINITY;
  const byPlace = (a: MergedEvent, b: MergedEvent) =>
    (a.before ?? end) === (b.before ?? end) ? 0 : (a.before ?? end) - (b.before ?? end);
  for (const one of [...all].sort(byPlace)) place(one);
  return events;
};

type Missing = Pick<MergedLog, 'missingSequences' | 'missingOf' | 'missingCauses'>;

/** What must have been in the log and no source has. */
const missingFrom = ({ chains, all, byId }: Chained): Missing => {
  const sequences = new Set(all.flatMap(({ before }) => before ?? []));
  const highest = all.reduce((most, { before }) => Math.max(most, before ?? 0), 0);
  const missingOf = new Map<string, number>();
  for (const [writer, chain] of chains) {
    const gaps = (chain.at(-1)?.event.writerseq ?? 0) - chain.length;
    if (gaps > 0) missingOf.set(writer, gaps);
  }
  const causes = new Set(all.flatMap(({ event }) => event.causationid ?? []));
  return {
    missingSequences: Array.from({ length: highest }, (_, index) => index + 1).filter(
      (sequence) => !sequences.has(sequence),
    ),
    missingOf,
    missingCauses: [...causes].filter((cause) => !byId.has(cause)),
  };
};

/**
 * Puts a log together from all messages that are still held, and checks their signatures. Events are in the order of
 * their former sequences; but each writer's events stay in its own order, and no event comes before its cause.
 * @param held messages of the better source first: of two with the same subject, the first counts.
 */
export const mergeLog = (trust: Trust, held: readonly HeldMessage[]): MergedLog => {
  const { bySubject, abandoned, leftOut, epoch } = firstOfEach(trust, held);
  const chains = chainsOf([...bySubject.values()], abandoned, leftOut);
  const all = [...chains.values()].flat();
  const chained: Chained = { chains, all, byId: new Map(all.map((one) => [idOf(one), one])) };
  return { events: inOrder(chained), leftOut, ...missingFrom(chained), epoch };
};
