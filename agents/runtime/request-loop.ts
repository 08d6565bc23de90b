import { createSayOnce } from '../../eventlog/say-once.ts';
import { completeEvent, lacksOf } from '../../eventlog/signing/check-event.ts';
import { createFirstMessages } from '../../eventlog/signing/first-messages.ts';
import { type Blob, lookupIn } from '../../eventlog/signing/put-aside.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import type { AttemptId } from '../../schemas/attempt-id.ts';
import { mayNameBlobs } from '../../schemas/blob-marker.ts';
import { coordinator } from '../../schemas/events.ts';
import type { Role } from '../../schemas/step-names.ts';
import { steps } from '../../schemas/steps.ts';
import type { DurableWatch } from './durable-watch.ts';
import type { Journal } from './journal/journal.ts';
import type { CheckMessage, Clock, HandedMessage, HostLog } from './ports.ts';
import { takeCheckpoint } from './take-checkpoint.ts';

export interface RequestLoopOptions {
  log: Pick<HostLog, 'pull' | 'isClosed' | 'readBlob'>;
  clock: Pick<Clock, 'pause'>;
  journal: Journal;
  host: string;
  role: Role;
  trust: Trust;
  /** By that trust. */
  check: CheckMessage;
  /** A request was noted, or one was superseded. */
  onNoted: (superseded?: AttemptId) => void;
  /** A checkpoint was taken note of. */
  onCheckpoint: () => void;
  /** For the host's own log: what was refused, or could not be asked for, and why. */
  onRefused: (why: string) => void;
  durable: Pick<DurableWatch, 'given' | 'noted' | 'ended'>;
  /** Whether requests may be taken now; it is asked again and again. */
  mayTake: () => boolean;
  /** Does what writes to the journal once there is room for it. */
  onceThereIsRoom: <Result>(work: () => Result) => Promise<Result>;
  /** A place where a test may end this process. */
  failpoint: (name: string) => void;
  signal: AbortSignal;
}

/**
 * A host does not read the rotations in the log, but its own requests: once one was signed with a newer pinned key, the
 * older ones count no more. Gives why it is refused, if it is.
 */
const refuseOlderKey = (
  { trust, journal }: Pick<RequestLoopOptions, 'trust' | 'journal'>,
  writer: string,
  key: string,
): string | undefined => {
  const pinned = trust.writers.get(writer)?.keys ?? [];
  const newest = journal.keys.of(writer);
  const place = newest === undefined ? -1 : pinned.indexOf(newest); // the newer, the smaller
  if (place >= 0 && pinned.indexOf(key) > place)
    return `it is signed with ${key}, and ${writer} has signed with a newer key since: ${newest}`;
  if (newest !== key) journal.keys.note(writer, key);
  return undefined;
};

/**
 * What a message has put aside.
 * @throws if it is not to be had now: the message is handed over again, and does not count until then.
 */
const fetchBlobs = async (
  message: HandedMessage,
  { check, journal, log }: RequestLoopOptions,
): Promise<Blob[]> => {
  if (!mayNameBlobs(message.bytes)) return [];
  const checked = check(message);
  if ('refused' in checked) return [];
  const blobs: Blob[] = [];
  for (const marker of lacksOf(checked.logged)) {
    const { sha256 } = marker;
    const known = journal.blobs.get(sha256);
    const read = known ? { bytes: known } : await log.readBlob(checked.logged.event.source, marker);
    if ('lacks' in read)
      throw new Error(
        `${message.subject} (sequence ${message.sequence}) waits for its blob ${sha256}: ${read.lacks}`,
      );
    blobs.push({ sha256, bytes: read.bytes });
  }
  return blobs;
};

/**
 * Notes one message in the journal. Gives why it is refused, if it is; and for a request what to do once it is acked.
 * @param blobs what it has put aside.
 */
const note = (
  message: HandedMessage,
  blobs: readonly Blob[],
  options: RequestLoopOptions,
): string | { acked: () => void } | undefined => {
  const checked = options.check(message);
  if ('refused' in checked) return checked.refused.why;
  const completed = completeEvent(checked.logged, lookupIn(blobs));
  if ('refused' in completed) return completed.refused.why;
  const { event, bytes } = completed.logged;
  if (event.source !== coordinator) return `it is ${event.source}'s, and only the coordinator asks`;
  const older = refuseOlderKey(options, event.source, checked.key);
  if (older !== undefined) return older;
  if (event.kind === 'fleet' && event.type === 'Checkpointed') {
    if (event.data.host !== options.host) return `it is for ${event.data.host}`;
    const why = takeCheckpoint(options.journal, options.trust, event);
    options.onCheckpoint();
    return why;
  }
  if (event.kind !== 'step') return undefined; // a type this version does not know, or has nothing to do about
  if (steps[event.step].role !== options.role)
    return `a ${options.role} does no ${event.step}, that is for a ${steps[event.step].role}`;
  const { iteration, step, attempt } = event;
  if (event.fact !== 'Requested' && event.fact !== 'Superseded') return undefined;
  if (event.data.host !== options.host) return `it is for ${event.data.host}`;
  const place = { sequence: message.sequence, signature: message.signature };
  if (event.fact === 'Requested') {
    const epoch = event.epoch ?? 1;
    if (epoch < options.journal.marks.epoch())
      return `it is of epoch ${epoch}, before the log was restored; epoch ${options.journal.marks.epoch()} has begun`;
    const eventId = `${event.source}/${event.id}`;
    options.journal.inOneCommit(() => {
      options.journal.blobs.keep(blobs);
      options.journal.requests.note({ iteration, step, attempt, bytes, eventId }, place, epoch);
    });
    options.failpoint(`${step} noted`);
    options.onNoted();
    return { acked: () => options.failpoint(`${step} acked`) };
  }
  options.journal.requests.noteSuperseded({ iteration, step, attempt }, { ...place, bytes });
  options.onNoted({ iteration, step, attempt });
  return undefined;
};

const againAfterMs = 500;

/**
 * Takes this host's requests from the log into its journal, until `signal` fires. A message is acked once it is in
 * the journal, and is never held open for the step. One that is refused is told to the host's own log and ended.
 * @throws if the connection was closed for good.
 */
export const runRequestLoop = async (options: RequestLoopOptions): Promise<void> => {
  const { log, clock, durable, signal } = options;
  const taking = createSayOnce(options.onRefused);
  while (!signal.aborted) {
    try {
      if (!options.mayTake()) {
        await clock.pause(againAfterMs, signal);
        continue;
      }
      // A log that was cut is read over another connection: what is said anew there is no second message.
      const firsts = createFirstMessages();
      for await (const message of log.pull(signal)) {
        durable.given(message);
        taking.over();
        if (message === 'nothing now') continue;
        // What can't be noted is not acked, and nothing that comes after it is noted before.
        const second = firsts.refuse(message);
        const blobs = second === undefined ? await fetchBlobs(message, options) : [];
        const noted = second ?? (await options.onceThereIsRoom(() => note(message, blobs, options)));
        if (typeof noted === 'string') {
          options.onRefused(`refused ${message.subject} (sequence ${message.sequence}): ${noted}`);
          await options.onceThereIsRoom(() => options.journal.marks.notePosition(message.sequence));
          message.term();
        } else {
          // A type that this version does not know is behind it as well.
          if (!noted)
            await options.onceThereIsRoom(() => options.journal.marks.notePosition(message.sequence));
          // An ack that the server did not hear is a message that comes again.
          await message.ack().catch(() => undefined);
          noted?.acked();
        }
        durable.noted();
      }
    } catch (error) {
      if (signal.aborted) return;
      // The host goes on with what its journal holds, and asks again: what was not acked comes again.
      taking.trouble(error, 'no requests can be taken: ');
    } finally {
      durable.ended();
    }
    if (signal.aborted) return;
    if (log.isClosed()) throw new Error('the connection to the log was closed');
    await clock.pause(againAfterMs, signal);
  }
};
