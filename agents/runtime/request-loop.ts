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
import { isBegun } from './new-epoch.ts';
import type { CheckMessage, Clock, HandedMessage, HostLog } from './ports.ts';
import { takeCheckpoint } from './take-checkpoint.ts';

export interface RequestLoopOptions {
  log: Pick<HostLog, 'pull' | 'isClosed' | 'readBlob'>;
  clock: Pick<Clock, 'pause'>;
  journal: Journal;
  host: string;
  role: Role;
  trust: Trust;
  /** Checks messages by that trust. */
  check: CheckMessage;
  /** A request was noted, or one was superseded. */
  onNoted: (superseded?: AttemptId) => void;
  /** A checkpoint was handled. */
  onCheckpoint: () => void;
  /** For the host's own log: what was refused, or why no requests can be taken. */
  onRefused: (why: string) => void;
  durable: Pick<DurableWatch, 'given' | 'noted' | 'ended'>;
  /** Whether requests may be taken now; called repeatedly. */
  mayTake: () => boolean;
  /** Runs work that writes to the journal, once there is room for it. */
  onceThereIsRoom: <Result>(work: () => Result) => Promise<Result>;
  /** A place where a test may end this process. */
  failpoint: (name: string) => void;
  signal: AbortSignal;
}

/**
 * A host reads only its own requests, and not the rotations in the log. So once a request was signed with a newer
 * pinned key, older keys no longer count. @returns why the message is refused; undefined if it is not.
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
 * Fetches what a message has put aside.
 * @throws if a blob can't be read now: the message is redelivered, and does not count until then.
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
 * Notes one message in the journal. @returns why it is refused, if it is; for a request, what to do once it is acked.
 * @param blobs what the message has put aside.
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
  if (event.source !== coordinator) return `it is ${event.source}'s, and only the coordinator may ask`;
  const older = refuseOlderKey(options, event.source, checked.key);
  if (older !== undefined) return older;
  if (event.kind === 'fleet' && event.type === 'Checkpointed') {
    if (event.data.host !== options.host) return `it is for ${event.data.host}`;
    const why = takeCheckpoint(options.journal, options.trust, event);
    options.onCheckpoint();
    return why;
  }
  if (event.kind !== 'step') return undefined; // a type that this version does not know, or does not act on
  if (steps[event.step].role !== options.role)
    return `a ${options.role} does not do ${event.step}: that is for a ${steps[event.step].role}`;
  const { iteration, step, attempt } = event;
  if (event.fact !== 'Requested' && event.fact !== 'Superseded') return undefined;
  if (event.data.host !== options.host) return `it is for ${event.data.host}`;
  const place = { sequence: message.sequence, signature: message.signature };
  if (event.fact === 'Requested') {
    const epoch = event.epoch ?? 1;
    const known = options.journal.marks.epoch();
    if (epoch < known)
      return `it belongs to epoch ${epoch}, before the log was restored; epoch ${known} has begun`;
    if (epoch > known && !isBegun(options.trust, event.restored, epoch))
      return `no operator has signed that epoch ${epoch} begins; epoch ${known} goes on`;
    const eventId = `${event.source}/${event.id}`;
    options.journal.inOneCommit(() => {
      options.journal.blobs.keep(blobs);
      options.journal.requests.note({ iteration, step, attempt, bytes, eventId }, place, epoch);
      if (message.storedAt !== undefined)
        options.journal.requests.noteAskedAt({ iteration, step, attempt }, message.storedAt);
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
 * Takes this host's requests from the log into its journal, until `signal` fires. A message is acked once it is in the
 * journal, and never waits for the step. A refused message is reported in the host's own log and terminated.
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
      // A log that was cut is read over another connection: an event that was sent again there is no second message.
      const firsts = createFirstMessages();
      for await (const message of log.pull(signal)) {
        durable.given(message);
        taking.over();
        if (message === 'nothing now') continue;
        // A message that can't be noted is not acked, and no later message is noted before it.
        const second = firsts.refuse(message);
        const blobs = second === undefined ? await fetchBlobs(message, options) : [];
        const noted = second ?? (await options.onceThereIsRoom(() => note(message, blobs, options)));
        if (typeof noted === 'string') {
          options.onRefused(`refused ${message.subject} (sequence ${message.sequence}): ${noted}`);
          await options.onceThereIsRoom(() => options.journal.marks.notePosition(message.sequence));
          message.term();
        } else {
          // The position also moves past a type that this version does not know.
          if (!noted)
            await options.onceThereIsRoom(() => options.journal.marks.notePosition(message.sequence));
          // If the server did not get the ack, the message is redelivered.
          await message.ack().catch(() => undefined);
          noted?.acked();
        }
        durable.noted();
      }
    } catch (error) {
      if (signal.aborted) return;
      // The host goes on with what its journal holds, and pulls again: what was not acked is redelivered.
      taking.trouble(error, 'no requests can be taken: ');
    } finally {
      durable.ended();
    }
    if (signal.aborted) return;
    if (log.isClosed()) throw new Error('the connection to the log was closed');
    await clock.pause(againAfterMs, signal);
  }
};
