import { BlobFault } from '../../eventlog/stream/blobs.ts';
import { sameFact } from '../../eventlog/stream/event-log.ts';
import type { NewEvent } from '../../schemas/events.ts';
import { JournalContradicted, ReplacedAgent } from './errors.ts';
import type { Journal } from './journal/journal.ts';
import type { OutboxEvent } from './journal/own-events.ts';
import type { Outbox } from './outbox.ts';
import type { OwnLog, SentEvent } from './own-log.ts';

export interface Compared {
  journal: Journal;
  outbox: Pick<Outbox, 'continueFrom'>;
  log: OwnLog;
  /** Told where something that own events have put aside can't be put back. */
  onBlobFault: (fault: BlobFault) => void;
}

const isSame = (a: Pick<OutboxEvent, 'bytes'>, b: Pick<OutboxEvent, 'bytes'>): boolean =>
  Buffer.compare(a.bytes, b.bytes) === 0;

const contradiction = (subject: string, sequence: number) =>
  new JournalContradicted(
    `the log holds another ${subject} (sequence ${sequence}) than this host's journal: one of them is not what happened. Look at both; to believe the log, stop this agent, move its journal.db aside and start it again`,
  );

const isStart = (log: OwnLog, { subject }: Pick<OutboxEvent, 'subject'>) =>
  subject.startsWith(log.startPrefix);

/** The number of this host's last start that the journal knows of; 0 before the first. */
export const lastStart = (journal: Journal, startPrefix: string): number =>
  journal.outbox.highestOf(startPrefix);

/** Whether an agent that was started later has this host's identity. */
export const isReplaced = async ({ journal, log }: Pick<Compared, 'journal' | 'log'>): Promise<boolean> =>
  (await log.read(`${log.startPrefix}${lastStart(journal, log.startPrefix) + 1}`)) !== undefined;

/** The other outcome of an attempt: what has succeeded there has not failed here. */
const otherOutcome = (subject: string): string | undefined => {
  if (/Succeeded\.\d+$/.test(subject)) return subject.replace(/Succeeded(?=\.\d+$)/, 'Failed');
  return /Failed\.\d+$/.test(subject) ? subject.replace(/Failed(?=\.\d+$)/, 'Succeeded') : undefined;
};

/**
 * What was sent before a crash could note it is sent. What another hand of this host wrote as the same fact counts, and so
 * does what it told of its own accord under the same subject: such a thing is told once.
 * @returns what the log holds under another count than the journal: this host's chain goes on from there.
 */
const noteWhatIsThere = async ({ journal, outbox, log }: Compared): Promise<SentEvent[]> => {
  const elsewhere: SentEvent[] = [];
  let isRewritten = false;
  for (const event of journal.outbox.list('unsent').reverse()) {
    const there = await log.read(event.subject);
    if (there && isSame(there, event)) journal.outbox.markSent(event.seq, there.sequence);
    else if (there && !isStart(log, event)) {
      if (otherOutcome(event.subject) && !sameFact(there.bytes, event.bytes))
        throw contradiction(there.subject, there.sequence);
      if (there.seq !== event.seq) elsewhere.push(there);
      else {
        journal.outbox.takeBack(there);
        isRewritten = true;
      }
    }
    const other = there ? undefined : otherOutcome(event.subject);
    const opposite = other && (await log.read(other));
    if (opposite) throw contradiction(opposite.subject, opposite.sequence);
  }
  // What comes after it links to other bytes than the log's.
  if (isRewritten) outbox.continueFrom([], (event) => event);
  return elsewhere;
};

/**
 * The log's last own event has to be in the journal; otherwise the journal is missing or an old copy, and so it is if the
 * log holds another start under the number of this one's.
 * @param elsewhere what another journal of this host has written as this one's facts.
 */
const countOn = async (
  compared: Compared,
  elsewhere: readonly SentEvent[],
  { hasStarted, lastSequence }: { hasStarted: boolean; lastSequence: number },
): Promise<void> => {
  const { journal, outbox, log } = compared;
  const [newest, start] = [await log.newest(), await log.newestStart()];
  if (!newest) return;
  const unknown = [newest, ...(start ? [start] : [])].filter((event) => {
    const known = journal.outbox.under(event.subject);
    return !known || !isSame(known, event);
  });
  if (unknown.length === 0 && elsewhere.length === 0) return;
  const startsInLog = start ? Number(start.subject.slice(log.startPrefix.length)) : 0;
  const isAnnounced = hasStarted && !journal.outbox.list('unsent').some((event) => isStart(log, event));
  if (isAnnounced && startsInLog > lastStart(journal, log.startPrefix))
    throw new ReplacedAgent(
      `another agent of this host was started later (its start number ${startsInLog} is in the log): this one stops`,
    );
  const sent = unknown.find(({ subject }) =>
    journal.outbox.list('sent').some((known) => known.subject === subject),
  );
  if (sent) throw contradiction(sent.subject, sent.sequence);
  // Which key signs what is written anew follows from it.
  const rotation = await log.newestRotation();
  const anew = (event: NewEvent): NewEvent =>
    event.type === 'AgentStarted' ? { ...event, attempt: startsInLog + 1 } : event;
  journal.inOneCommit(() => {
    // The newest one last: the next own event links to it.
    if (!isAnnounced) journal.marks.noteLack(lastSequence);
    const before = [...elsewhere, ...(rotation ? [rotation] : []), ...(start ? [start] : [])].filter(
      ({ subject }) => subject !== newest.subject,
    );
    outbox.continueFrom([...before, newest], anew);
  });
};

/**
 * Puts back what the log has lost of what own events have put aside, and takes back what a journal that was lost no longer has
 * of it.
 */
const putBlobsBack = async (
  { journal, log, onBlobFault }: Compared,
  { bytes }: OutboxEvent,
): Promise<void> => {
  const { blobs, missing } = journal.blobs.of(bytes);
  for (const blob of blobs)
    try {
      const marker = { sha256: blob.sha256, sizeBytes: blob.bytes.length };
      if (!(await log.holdsBlob(marker))) await log.putBlob(blob);
    } catch (error) {
      if (!(error instanceof BlobFault)) throw error;
      onBlobFault(error);
    }
  for (const marker of missing) {
    const read = await log.readBlob(marker);
    if ('bytes' in read) journal.blobs.keep([{ sha256: marker.sha256, bytes: read.bytes }]);
  }
};

/** What the log has lost of what was sent is to be sent again, in order. */
const findLost = async (compared: Compared, atLeast: number): Promise<void> => {
  const { journal, log } = compared;
  const lost: number[] = [];
  for (const some of [atLeast, -1]) {
    const events = journal.outbox.list('sent', some);
    let isAsNoted = true;
    lost.length = 0;
    for (const event of events) {
      const there = await log.read(event.subject);
      if (there && !isSame(there, event)) throw contradiction(there.subject, there.sequence);
      isAsNoted = there?.sequence === event.sequence;
      if (there) await putBlobsBack(compared, event);
      if (!there) lost.push(event.seq);
      else if (!isAsNoted) journal.outbox.markSent(event.seq, there.sequence);
    }
    if (isAsNoted || events.length < some) break;
  }
  journal.inOneCommit(() => {
    for (const seq of lost) journal.outbox.markUnsent(seq);
  });
};

/**
 * Looks what the log holds of this host, and brings the journal in step with it: notes what is sent, and what is not any
 * more since the log lost it; takes the host's place in its own chain back where the journal has lost it.
 * @param hasStarted whether this process has written its `AgentStarted`.
 * @param atLeast so many of the events that were sent last are looked for, and more where one is not as noted.
 * @throws {ReplacedAgent} if another agent has this identity. @throws {JournalContradicted} @throws if the log does not
 * answer.
 */
export const compareWithLog = async (
  compared: Compared,
  { hasStarted, atLeast }: { hasStarted: boolean; atLeast: number },
): Promise<void> => {
  const { journal, log } = compared;
  const lastSequence = await log.lastSequence();
  const elsewhere = await noteWhatIsThere(compared);
  await countOn(compared, elsewhere, { hasStarted, lastSequence });
  await findLost(compared, atLeast);
  journal.marks.limitPosition(lastSequence);
};
