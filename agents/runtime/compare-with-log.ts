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
  /** Called if a blob of an own event can't be put back. */
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

/** The number of this host's last start in the journal; 0 before the first. */
export const lastStart = (journal: Journal, startPrefix: string): number =>
  journal.outbox.highestOf(startPrefix);

/** Whether an agent that was started later has this host's identity. */
export const isReplaced = async ({ journal, log }: Pick<Compared, 'journal' | 'log'>): Promise<boolean> =>
  (await log.read(`${log.startPrefix}${lastStart(journal, log.startPrefix) + 1}`)) !== undefined;

/** The subject of the opposite outcome of an attempt: an attempt that has succeeded in the log has not failed here. */
const otherOutcome = (subject: string): string | undefined => {
  if (/Succeeded\.\d+$/.test(subject)) return subject.replace(/Succeeded(?=\.\d+$)/, 'Failed');
  return /Failed\.\d+$/.test(subject) ? subject.replace(/Failed(?=\.\d+$)/, 'Succeeded') : undefined;
};

/**
 * Marks unsent events as sent if the log holds them: a crash came before that was noted. An event that another journal
 * of this host has written as the same fact counts as well, and so does its report under the same subject, since each
 * report is written once.
 * @returns the events that have another count in the log than in the journal: this host's chain goes on from there.
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
  // The events after it link to other bytes than the log's.
  if (isRewritten) outbox.continueFrom([], (event) => event);
  return elsewhere;
};

/**
 * Checks that the journal holds the log's last own event and last start. Otherwise the journal was lost or is an old
 * copy, and the host's chain has to go on from what the log holds.
 * @param elsewhere the events that another journal of this host has written as the same facts.
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
  // The last rotation decides which key signs the events that are written again.
  const rotation = await log.newestRotation();
  const anew = (event: NewEvent): NewEvent =>
    event.type === 'AgentStarted' ? { ...event, attempt: startsInLog + 1 } : event;
  journal.inOneCommit(() => {
    // The newest event comes last: the next own event links to it.
    if (!isAnnounced) journal.marks.noteLack(lastSequence);
    const before = [...elsewhere, ...(rotation ? [rotation] : []), ...(start ? [start] : [])].filter(
      ({ subject }) => subject !== newest.subject,
    );
    outbox.continueFrom([...before, newest], anew);
  });
};

/**
 * Puts back blobs of own events that the log has lost, and takes back from the log those that a lost journal no longer
 * has.
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

/** Marks sent events that the log has lost as unsent, so that they are sent again in order. */
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
 * Compares the journal with what the log holds of this host, and brings the journal in step: marks what is sent, marks
 * as unsent what the log has lost, and takes the end of the host's own chain from the log if the journal has lost it.
 * @param hasStarted whether this process has written its `AgentStarted`.
 * @param atLeast how many of the last sent events to look for; all of them if the oldest of these is not as noted.
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
