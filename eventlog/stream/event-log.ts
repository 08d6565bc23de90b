import { headers, type NatsConnection } from 'nats';
import {
  coordinator,
  type Envelope,
  isPerson,
  type LoggedEvent,
  parseSubject,
} from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import type { Acknowledged } from '../grouped-alarms.ts';
import { acknowledgedBy, acknowledgedHash } from '../signing/acknowledgement.ts';
import {
  checkEvent,
  type KeptMessage,
  lacksOf,
  type RefusedMessage,
  signatureHeader,
} from '../signing/check-event.ts';
import type { Blob } from '../signing/put-aside.ts';
import { linkTo, type SealedEvent } from '../signing/seal.ts';
import type { Trust } from '../signing/trust.ts';
import { createVerifier, type Verified, type VerifiedPlace } from '../signing/verifier.ts';
import { type BlobReader, type BlobStore, createBlobReader, createBlobStore } from './blob-reader.ts';
import { type BlobSource, putBlob, readBlob } from './blobs.ts';
import { directGet } from './direct-get.ts';
import { askTwice, followStream, type Handed, keptIn } from './follow-stream.ts';
import { deliverKnown, type KnownMessage } from './known-messages.ts';
import { endNamedBy } from './log-end.ts';
import { beingRestored, explainLogError } from './log-fault.ts';
import { type LogPart, readPart } from './log-part.ts';
import { eventStream, isOpenTo, logManager } from './provision.ts';

export type Appended =
  | { outcome: 'appended'; sequence: number }
  /** The same fact is already there. */
  | { outcome: 'there'; sequence: number }
  /** The log has moved on since `expectedLast`: read on, decide again. */
  | { outcome: 'moved' };

/**
 * The subject holds another fact than the one to append. Somebody else uses this writer's name, or its journal is old.
 */
export class AppendConflict extends Error {
  override readonly name = 'AppendConflict';
}

/**
 * Two events are the same fact if they agree in everything but the writer's bookkeeping, which another process of that
 * writer can't know.
 */
const factOf = ({ time: _time, writerseq: _seq, prevhash: _prev, ...fact }: Envelope): string =>
  JSON.stringify(fact);

export const sameFact = (a: Uint8Array, b: Uint8Array): boolean => {
  if (Buffer.compare(a, b) === 0) return true;
  const read = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as Envelope;
  try {
    return factOf(read(a)) === factOf(read(b));
  } catch {
    return false; // one of them is not an event at all
  }
};

/** What an append asks of a log. */
export interface AppendTarget {
  /** Stores a blob of the event beside the log. @throws if the blob is not known to be stored. */
  putBlob(sealed: SealedEvent, blob: Blob): Promise<void>;
  /**
   * Publishes the event, if its subject and the log end at the expected sequences.
   * @returns its sequence, or where the subject or the log ends instead. @throws if the event is not known to be in the
   * log.
   */
  publish(
    sealed: SealedEvent,
    expect: { lastSubjectSequence?: number; lastSequence?: number },
  ): Promise<{ sequence: number } | { endsAt: number }>;
  /** The message that counts under a subject: its first. */
  read(subject: string): Promise<Pick<KeptMessage, 'sequence' | 'bytes'> | undefined>;
}

/**
 * Appends a sealed event once, for ever: its subject names the fact, so a second append of it returns `there`. Its
 * blobs are stored first, so that readers of the event find them.
 * @param expectedLast append only if this is still the log's last sequence. Another fact that came to the subject after
 * it is not a conflict: somebody was faster.
 * @throws {AppendConflict} if the subject holds another fact. @throws if the log does not answer.
 */
export const appendTo = async (
  target: AppendTarget,
  sealed: SealedEvent,
  expectedLast?: number,
): Promise<Appended> => {
  for (const blob of sealed.blobs) await target.putBlob(sealed, blob);
  const published = await target.publish(sealed, {
    lastSubjectSequence: 0,
    ...(expectedLast === undefined ? {} : { lastSequence: expectedLast }),
  });
  if ('sequence' in published) return { outcome: 'appended', sequence: published.sequence };
  // Whatever stands there came later than what the caller has read. There is no need to look at it.
  if (expectedLast !== undefined && published.endsAt > expectedLast) return { outcome: 'moved' };
  const there = await target.read(sealed.subject);
  if (!there) {
    if (expectedLast !== undefined) return { outcome: 'moved' };
    throw new Error(`${sealed.subject} was there and is gone: nobody knows whether the event is in the log`);
  }
  if (sameFact(there.bytes, sealed.bytes)) return { outcome: 'there', sequence: there.sequence };
  if (expectedLast !== undefined && there.sequence > expectedLast) return { outcome: 'moved' };
  throw new AppendConflict(
    `${sealed.subject} already holds another fact, at sequence ${there.sequence}; nothing was appended`,
  );
};

/**
 * The message that counts under a subject: its first. A host may ask only for the last message of its own subjects. If a
 * server holds two, the host takes the last one for another's, and stops.
 */
const readFirst = (connection: NatsConnection, subject: string) => {
  const writer = parseSubject(subject)?.writer ?? '';
  const mayAsk = writer === coordinator || isPerson(writer);
  return directGet(connection, mayAsk ? { seq: 1, next_by_subj: subject } : { subject });
};

/**
 * Like {@link appendTo}, over a connection to the log's server.
 * @throws {LogFault} if the log is gone, or its disk full. @throws {BlobFault} if a blob can't be stored.
 * @throws {NatsError} if the server does not answer.
 */
export const appendEvent = (
  connection: NatsConnection,
  sealed: SealedEvent,
  expectedLast?: number,
): Promise<Appended> =>
  appendTo(
    {
      async putBlob({ subject }, blob) {
        const place = parseSubject(subject);
        if (!place) throw new Error(`${subject} is not the subject of an event`);
        return putBlob(connection, place, blob);
      },
      async publish({ subject, bytes, signature }, expect) {
        const head = headers();
        head.set(signatureHeader, signature);
        try {
          const { seq } = await connection.jetstream().publish(subject, bytes, { headers: head, expect });
          return { sequence: seq };
        } catch (error) {
          const endsAt = endNamedBy(error);
          if (endsAt !== undefined) return { endsAt };
          throw await explainLogError(connection, error, subject);
        }
      },
      read: (subject) => readFirst(connection, subject),
    },
    sealed,
    expectedLast,
  );

/** What is reported to a reader besides events. */
export interface LogReports {
  /** A message is not an event of its writer, and is ignored. */
  onRefused?: (refused: RefusedMessage) => void;
  /** An event is its writer's, but does not follow from that writer's previous event. */
  onAlarm?: (alarm: RefusedMessage) => void;
  /** A person has acknowledged a message that was reported before, byte for byte as the log holds it. */
  onAcknowledged?: (one: Acknowledged) => void;
  /** An event has put something aside that can't be read, for this reason. The event is passed on as an unknown one. */
  onLack?: (logged: LoggedEvent, why: string) => void;
}

/** Why everything is delivered again: the log was cut, or what an event lacked is there now. */
export type Again = 'cut' | 'whole' | 'damaged';

/** A place in the log up to which a reader knows it. */
export interface KnownPlace extends VerifiedPlace {
  /** The last messages up to there, oldest first, to be compared with the log. */
  last: readonly Handed[];
}

/** How a log is followed. */
export interface Following extends LogReports {
  until?: number;
  signal?: AbortSignal;
  /**
   * The messages of the log that the caller has kept, from the first one on. They are delivered first, without
   * `onMessage`, and the log's own go on after them. If they can't be read, everything comes from the log.
   */
  known?: () => Iterable<KnownMessage>;
  /** What the caller knows of the log already: the messages after it are delivered, once the log holds it too. */
  after?: KnownPlace;
  /** Only what this part holds, and then everything that comes after it. Writers' chains are not checked. */
  part?: LogPart;
  /** Called with each message as it is, before it is checked. @param left at least so many follow it in the log now. */
  onMessage?: (message: KeptMessage, left: number) => void;
  onCut?: (lastSequence: number, why: Again) => void;
  /** The log still holds what was delivered last, also of what the caller knew. */
  onHeld?: () => void;
  onTrouble?: (error: unknown) => void;
  /** Where blobs are kept. Without it, some are kept until `follow` returns. */
  blobs?: BlobStore;
}

const ignore = () => undefined;

/** How often to look whether what events lack is there by now, and for how many events at a time. */
const lookForBlobsEveryMs = 4_000;
const lookedForAtOnce = 8;

/** The events that lack something, and so are passed on as unknown ones. */
const createLacking = (reader: BlobReader) => {
  let events: LoggedEvent[] = [];
  let lookedAt = 0;
  let isFound = false;
  return {
    add(logged: LoggedEvent) {
      if (events.length === 0) lookedAt = performance.now();
      events.push(logged);
    },
    /** Whether what one of these events lacks is there now. */
    async isOver(): Promise<boolean> {
      if (isFound) return true;
      if (events.length === 0 || performance.now() - lookedAt < lookForBlobsEveryMs) return false;
      for (const logged of events.slice(0, lookedForAtOnce)) isFound ||= await reader.isThere(logged);
      events.push(...events.splice(0, lookedForAtOnce)); // the others next time
      lookedAt = performance.now();
      return isFound;
    },
    /** Everything is delivered again. @returns why. */
    forget(): Again {
      const why = isFound ? 'whole' : 'cut';
      events = [];
      isFound = false;
      return why;
    },
  };
};

/**
 * Passes an event on with what it has put aside. If something of that is missing, reports it and passes the event on as
 * an unknown one.
 */
const handOn = async (
  logged: LoggedEvent,
  {
    reader,
    lacking,
    onRefused,
    onLack,
    onEvent,
  }: Required<Pick<LogReports, 'onRefused' | 'onLack'>> & {
    reader: BlobReader;
    lacking: ReturnType<typeof createLacking>;
    onEvent: (logged: LoggedEvent) => void | Promise<void>;
  },
): Promise<void> => {
  // Almost all events have put nothing aside, and need no further wait.
  const read = lacksOf(logged).length === 0 ? { logged } : await reader.complete(logged);
  if ('refused' in read) return onRefused(read.refused);
  if ('why' in read && read.why !== undefined) {
    lacking.add(read.logged);
    onLack(read.logged, read.why);
  }
  await onEvent(read.logged);
};

/** Where a reader stands. @param until the sequence with which it ends, if it does. */
const createReading = (
  trust: Trust,
  { until, part, after }: Pick<Following, 'until' | 'part' | 'after'>,
  reports: Parameters<typeof handOn>[1] & Required<Pick<LogReports, 'onAlarm'>>,
) => {
  const { onRefused, onAlarm } = reports;
  const begin = () => createVerifier(trust, { isPart: part !== undefined });
  const reading = {
    next: (after?.last.at(-1)?.sequence ?? 0) + 1,
    until: until ?? 0,
    verifier: after ? createVerifier(trust, { after }) : begin(),
    isOver: () => until !== undefined && reading.next > reading.until,
    beginAgain(last: number) {
      if (until !== undefined) reading.until = last;
      reading.next = 1;
      reading.verifier = begin();
    },
    skipTo(sequence: number, subject: string) {
      if (sequence <= reading.next) return;
      const why = `the log holds nothing from sequence ${reading.next} to here: it has lost events`;
      onRefused({ sequence: sequence - 1, subject, cause: 'lost', why });
    },
    take: async ({ sequence, subject }: Pick<KeptMessage, 'sequence' | 'subject'>, verified?: Verified) => {
      reading.next = sequence + 1;
      if (!verified) return;
      if ('refused' in verified) return onRefused(verified.refused);
      for (const why of verified.faults) onAlarm({ sequence, subject, cause: 'chain', why });
      await handOn(verified.logged, reports);
    },
  };
  return reading;
};

type WriterLink = ReturnType<typeof linkTo>;

/** A reader of the whole log, in order. */
export class EventLog {
  readonly #connection: NatsConnection;
  readonly #trust: Trust;
  readonly #told: LogReports;

  constructor(connection: NatsConnection, trust: Trust, told: LogReports = {}) {
    this.#connection = connection;
    this.#trust = trust;
    this.#told = told;
  }

  /** @throws {LogFault} if there is no log, or it is not whole. */
  async lastSequence(): Promise<number> {
    try {
      const manager = await logManager(this.#connection);
      const { state, config } = await manager.streams.info(eventStream);
      if (!isOpenTo(config.subjects)) throw beingRestored;
      return state.last_seq;
    } catch (error) {
      throw await explainLogError(this.#connection, error);
    }
  }

  /** The message at a place of the log; undefined if there is none. @throws if the server does not answer. */
  messageAt(sequence: number): Promise<KeptMessage | undefined> {
    return directGet(this.#connection, { seq: sequence });
  }

  /** Reads a blob that an event of that writer names. @throws if the server does not answer. */
  readonly readBlob: BlobSource = (writer, marker) =>
    readBlob(this.#connection, { fleet: this.#trust.fleet, writer }, marker);

  #reportsOf(options: LogReports): Required<LogReports> {
    const { onRefused = this.#told.onRefused ?? ignore, onAlarm = this.#told.onAlarm ?? ignore } = options;
    const onLack =
      options.onLack ??
      this.#told.onLack ??
      (({ sequence, subject }, why) => onAlarm({ sequence, subject, cause: 'blob', why }));
    const onAcknowledged = options.onAcknowledged ?? this.#told.onAcknowledged ?? ignore;
    return { onRefused, onAlarm, onLack, onAcknowledged };
  }

  /** Reports what an event acknowledges, if the log holds it as it was acknowledged. */
  async #acknowledge({ event }: LoggedEvent, onAcknowledged: (one: Acknowledged) => void): Promise<void> {
    for (const { sha256: hash, ...one } of acknowledgedBy(event)) {
      const message = await this.messageAt(one.sequence);
      if (message && acknowledgedHash(message) === hash) onAcknowledged(one);
    }
  }

  /** Whether the log still holds these messages, each where it was. */
  async #holds(handed: readonly Handed[]): Promise<boolean> {
    const found = await Promise.all(
      handed.map(({ sequence }) => directGet(this.#connection, { seq: sequence })),
    );
    return found.every((one, nth) => one !== undefined && sha256(one.bytes) === handed[nth]?.hash);
  }

  /**
   * Passes every event to `onEvent`, in order and one at a time, until `signal` fires; with `until`, until that
   * sequence was delivered. It survives reconnections: it goes on after the last event that it delivered. A refused
   * message goes to `onRefused` in its place, and so do sequences that the log has lost. An event that is its writer's,
   * but does not follow from that writer's previous event, is reported to `onAlarm` and also passed on.
   *
   * A log that no longer holds what was delivered was cut: it has lost its tail, or was restored. `onCut` gets its last
   * sequence as it is now, and everything is delivered again. With `until`, that sequence is then the end. If a blob
   * could not be read, `onLack` is called; once it can be read, everything is delivered again as well.
   * @throws {LogFault} if the log can't be read at the start; with `onTrouble` that is reported, and waited for.
   */
  async follow(options: Following, onEvent: (logged: LoggedEvent) => void | Promise<void>): Promise<void> {
    const { signal, onMessage, onCut, onTrouble } = options;
    const { onRefused, onAlarm, onLack, onAcknowledged } = this.#reportsOf(options);
    if (options.until === 0) return;
    const reader = createBlobReader(this.readBlob, options.blobs ?? createBlobStore());
    const lacking = createLacking(reader);
    const reading = createReading(this.#trust, options, {
      ...{ reader, lacking, onRefused, onAlarm, onLack },
      onEvent: async (logged) => {
        // Almost no event is one, and a wait for nothing costs more than the rest.
        if (logged.event.type === 'RefusalAcknowledged') await this.#acknowledge(logged, onAcknowledged);
        await onEvent(logged);
      },
    });
    const again = async (why: Again) => {
      const last = await this.lastSequence();
      reading.beginAgain(last);
      onCut?.(last, why);
    };
    const guard = {
      isHeld: async (handed: readonly Handed[]) => {
        if ((await this.lastSequence()) < reading.until) return false;
        if (!(await this.#holds(handed)) || (await lacking.isOver())) return false;
        options.onHeld?.();
        return true;
      },
      onCut: async () => {
        await again(lacking.forget());
        return reading.isOver() ? ('enough' as const) : 1;
      },
    };
    const told =
      onTrouble &&
      ((error: unknown) => void explainLogError(this.#connection, error).then((why) => onTrouble(why)));
    try {
      const known = options.part?.messages ?? options.known?.() ?? [];
      const delivered = await deliverKnown(known, reading.verifier, reading.take, signal);
      if (!delivered) await again('damaged');
      if (options.part) reading.next = options.part.lastSequence + 1;
      const handed = [...(options.after?.last ?? []), ...(delivered ?? [])];
      if (reading.isOver()) {
        // What the caller kept may be of another log; a part was read from this one.
        if (options.part || (await guard.isHeld(handed)) || (await guard.onCut()) === 'enough') return;
        handed.length = 0;
      }
      await followStream(
        this.#connection,
        { stream: eventStream, from: reading.next, handed, guard, onTrouble: told, signal },
        async (message, left) => {
          reading.skipTo(message.seq, message.subject);
          const kept = keptIn(message);
          onMessage?.(kept, left);
          await reading.take(kept, reading.verifier.verify(kept));
          return reading.isOver() ? 'enough' : 'more';
        },
      );
    } catch (error) {
      throw await explainLogError(this.#connection, error);
    }
  }

  /**
   * Passes on every message of the log as it is now, in order and one at a time. Nothing is checked.
   * @param onCut the log was cut meanwhile: everything is passed on again. @throws {LogFault}
   */
  async readMessages({
    onMessage,
    onCut,
  }: {
    onMessage: (message: KeptMessage) => Promise<void>;
    onCut: () => void;
  }): Promise<void> {
    let until = await this.lastSequence();
    if (until === 0) return;
    const guard = {
      isHeld: async (handed: readonly Handed[]) =>
        (await this.lastSequence()) >= until && (await this.#holds(handed)),
      onCut: async () => {
        until = await this.lastSequence();
        onCut();
        return until === 0 ? ('enough' as const) : 1;
      },
    };
    try {
      await followStream(this.#connection, { stream: eventStream, from: 1, guard }, async (message) => {
        await onMessage(keptIn(message));
        return message.seq >= until ? 'enough' : 'more';
      });
    } catch (error) {
      throw await explainLogError(this.#connection, error);
    }
  }

  /** What the log holds of one iteration now, see {@link readPart}. @throws {LogFault} */
  async partOf(iteration: string): Promise<LogPart> {
    const read = async () => readPart(this.#connection, this.#trust, iteration, await this.lastSequence());
    try {
      return await askTwice(this.#connection, read);
    } catch (error) {
      throw await explainLogError(this.#connection, error);
    }
  }

  /**
   * The link to a writer's last event; undefined if it has none. `unclear` if the last message under its name is no event of
   * its, or the second one under its subject: then only the whole log shows which one is.
   */
  lastOf(writer: string): Promise<WriterLink | 'unclear' | undefined> {
    return askTwice(this.#connection, () => this.#lastOf(writer));
  }

  async #lastOf(writer: string): Promise<WriterLink | 'unclear' | undefined> {
    const filter = `ka.${this.#trust.fleet}.${writer}.>`;
    const last = await directGet(this.#connection, { subject: filter });
    if (!last) return undefined;
    const checked = checkEvent(this.#trust, last);
    if (!('logged' in checked)) return 'unclear';
    const first = await readFirst(this.#connection, last.subject);
    return first?.sequence === last.sequence ? linkTo(checked.logged.event.writerseq, last.bytes) : 'unclear';
  }

  /** As {@link read}, of one iteration. */
  async readIteration(
    iteration: string,
    reports: LogReports = {},
  ): Promise<{ events: LoggedEvent[]; lastSequence: number }> {
    const part = await this.partOf(iteration);
    const events: LoggedEvent[] = [];
    const { lastSequence } = part;
    await this.follow({ ...reports, part, until: lastSequence }, (logged) => void events.push(logged));
    return { events, lastSequence };
  }

  /**
   * Reads every event up to the message that is the last one now, and returns that message's sequence too. @throws
   * {LogFault}
   */
  async read(): Promise<{ events: LoggedEvent[]; lastSequence: number }> {
    const events: LoggedEvent[] = [];
    let lastSequence = await this.lastSequence();
    const onCut = (last: number) => {
      events.length = 0;
      lastSequence = last;
    };
    await this.follow({ until: lastSequence, onCut }, (logged) => void events.push(logged));
    return { events, lastSequence };
  }
}
