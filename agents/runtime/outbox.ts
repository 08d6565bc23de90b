import { createSayOnce } from '../../eventlog/say-once.ts';
import { linkTo, sealEvent } from '../../eventlog/signing/seal.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import { AppendConflict } from '../../eventlog/stream/event-log.ts';
import type { AttemptId } from '../../schemas/attempt-id.ts';
import {
  type Envelope,
  type EventType,
  type NewEvent,
  parseSubject,
  stepEventType,
  subjectOf,
} from '../../schemas/events.ts';
import { type StepName, stepNames } from '../../schemas/step-names.ts';
import type { Journal } from './journal/journal.ts';
import type { LogPlace } from './journal/log-place.ts';
import type { OutboxEvent } from './journal/own-events.ts';
import type { Clock, HostLog } from './ports.ts';

/**
 * A host's own events on their way to the log: first they are in the journal, then in the log as soon as it can be
 * reached.
 */
export interface Outbox {
  /**
   * Journals an event, together with the end of the request that it answers. An attempt gets only one outcome: a second
   * one is dropped, and reported in the host's own log.
   * @throws {EventTooLarge} Nothing is journalled then.
   */
  put(event: NewEvent, answers?: AttemptId): void;
  /** Sends what is waiting, in order, until there is nothing left or nothing may be sent. Never rejects. */
  drain(): Promise<void>;
  /** How many events are not in the log yet. */
  waiting(): number;
  /**
   * Takes own events back from the log, the newest one last, and counts on from there: events that are not in the log
   * are written again after it. If `last` is empty, they are only linked again.
   * @param change returns the event to write in place of one that is not in the log.
   */
  continueFrom(last: readonly (OutboxEvent & LogPlace)[], change: (event: NewEvent) => NewEvent): void;
}

/** How long to wait before another try after the log did not accept something. */
const againAfterMs = 1_000;

/** The part of the log that an outbox needs. */
type OutboxLog = Pick<HostLog, 'append' | 'isClosed'>;

export interface OutboxOptions {
  journal: Journal;
  /** The log, once there is a connection to it, and while own events may be sent. */
  log: () => OutboxLog | undefined;
  clock: Pick<Clock, 'now' | 'pause'>;
  /** `keyFor`: the key that signs an event when it is journalled, or journalled again. */
  writer: { fleet: string; name: string; keyFor: (event: NewEvent) => WriterKey };
  /** Called once for each reason why events can't be sent, and for each outcome that is dropped. */
  onTrouble: (what: string) => void;
  /** The log already holds something under an own event's subject: compare before anything more is sent. */
  onDoubt?: () => void;
  /** A place where a test may end this process. */
  failpoint?: (name: string) => void;
  signal: AbortSignal;
}

/** The step of which an own event is the outcome; undefined if it is not an outcome. */
const answeredStep = ({ subject }: OutboxEvent): StepName | undefined => {
  const type = parseSubject(subject)?.type;
  return stepNames.find((step) =>
    (['Succeeded', 'Failed'] as const).some((fact) => stepEventType(step, fact) === type),
  );
};

const nothing = () => undefined;

/** Journals an own event, sealed after the last one. */
const noteEvent = (
  { journal, writer }: OutboxOptions,
  event: NewEvent,
  time: string,
  answers?: AttemptId,
): void => {
  const written = journal.outbox.last();
  const last = written && linkTo(written.seq, written.bytes);
  const author = { ...writer, key: writer.keyFor(event), epoch: journal.marks.epoch() };
  const sealed = sealEvent(event, author, last, time);
  journal.inOneCommit(() => {
    journal.blobs.keep(sealed.blobs);
    journal.outbox.note(sealed, answers);
  });
};

/** Takes own events back, and journals again what is not in the log. */
const rewrite = (
  options: OutboxOptions,
  last: readonly (OutboxEvent & LogPlace)[],
  change: (event: NewEvent) => NewEvent,
): void => {
  const { journal, writer } = options;
  journal.inOneCommit(() => {
    const unsent = journal.outbox.list('unsent').reverse();
    for (const { seq } of unsent) journal.outbox.forget(seq);
    for (const event of last) journal.outbox.takeBack(event);
    for (const { bytes } of unsent) {
      const envelope = JSON.parse(new TextDecoder().decode(bytes)) as Envelope;
      const { iteration, attempt, data, causationid } = envelope;
      const type = envelope.type as EventType;
      const causes = causationid === undefined ? {} : { causationid };
      // This host itself wrote these bytes, from a NewEvent.
      const anew = change({ type, iteration, attempt, data, ...causes } as NewEvent);
      // An event that was taken back is already there.
      if (!journal.outbox.has(subjectOf(writer.fleet, writer.name, anew)))
        noteEvent(options, anew, envelope.time);
    }
  });
};

/** Sends what is unsent, in order. Ends when nothing is left, or something else has to happen first. */
const sendAll = async (options: OutboxOptions, log: OutboxLog): Promise<void> => {
  const { journal, onDoubt = nothing, failpoint = nothing } = options;
  for (let event = journal.outbox.nextUnsent(); event; event = journal.outbox.nextUnsent()) {
    const appended = await log.append({ ...event, blobs: journal.blobs.of(event.bytes).blobs });
    if (log.isClosed()) return; // the agent ends, and its journal may be closed
    const now = journal.outbox.under(event.subject);
    if (!now || Buffer.compare(now.bytes, event.bytes) !== 0) return onDoubt(); // it was written again in the meantime
    if (appended.outcome !== 'appended') return onDoubt(); // sent before a crash, or not by this agent
    const step = answeredStep(event);
    if (step) failpoint(`${step} sent`);
    journal.outbox.markSent(event.seq, appended.sequence);
    if (options.log() !== log) return; // the log has to be compared first
  }
};

/** Sends what is unsent, and tries again if the log does not accept it, as long as anything may be sent at all. */
const createSend = (options: OutboxOptions): ((log: OutboxLog) => Promise<void>) => {
  const { clock, onTrouble, onDoubt = nothing, signal } = options;
  const sending = createSayOnce(onTrouble);
  return async (log) => {
    while (!log.isClosed() && options.log() === log) {
      try {
        await sendAll(options, log);
        sending.over();
        return;
      } catch (error) {
        if (log.isClosed()) return;
        if (error instanceof AppendConflict) return onDoubt();
        sending.trouble(error, 'nothing can be sent: ');
      }
      await clock.pause(againAfterMs, signal);
      if (signal.aborted) return;
    }
  };
};

export const createOutbox = (options: OutboxOptions): Outbox => {
  const { journal, writer, clock, onTrouble, failpoint = nothing } = options;
  const send = createSend(options);
  let draining: Promise<void> | undefined;
  const outbox: Outbox = {
    put(event, answers) {
      // If another journal of this host has written this outcome, the request is answered.
      if (answers && journal.outbox.has(subjectOf(writer.fleet, writer.name, event)))
        return journal.requests.end(answers);
      if (answers && journal.requests.isAnswered(answers)) {
        const { iteration, step, attempt } = answers;
        return onTrouble(
          `${event.type} of ${iteration} ${attempt} is dropped: this ${step} already has an answer`,
        );
      }
      noteEvent(options, event, new Date(clock.now()).toISOString(), answers);
      if (answers) failpoint(`${answers.step} outcome`);
      void outbox.drain();
    },
    drain() {
      const log = options.log();
      if (!log || log.isClosed()) return Promise.resolve();
      draining ??= send(log).finally(() => {
        draining = undefined;
      });
      return draining;
    },
    waiting: () => journal.outbox.unsent(),
    continueFrom: (last, change) => rewrite(options, last, change),
  };
  return outbox;
};
