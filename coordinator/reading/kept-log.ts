import { AlarmGroups } from '../../eventlog/grouped-alarms.ts';
import { type KeptMessage, lacksOf, type RefusedMessage } from '../../eventlog/signing/check-event.ts';
import { reportsInto } from '../../eventlog/signing/log-alarms.ts';
import type { BlobStore } from '../../eventlog/stream/blob-reader.ts';
import type { EventLog } from '../../eventlog/stream/event-log.ts';
import { mayNameBlobs } from '../../schemas/blob-marker.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import type { KnownRow } from '../daemon/log-copy.ts';
import { isDamaged } from '../daemon/open-log-copy.ts';
import { takeBack } from '../decider/ended-iterations.ts';
import { evolve, passOver } from '../decider/evolve.ts';
import { initialState, type State } from '../decider/state.ts';
import { type KeptState, keepState, readKeptState, takeBackFrom } from './kept-state.ts';
import { openReaderCopy, type ReaderCopy, removeReaderCopy } from './reader-copy.ts';
import type { SummaryLine } from './summary.ts';

/** The whole log, and the state that it folds to. */
export interface LogRead {
  events: LoggedEvent[];
  state: State;
}

/** The log as it stands, without the events of what has ended. */
export interface LogStanding {
  /** The iterations in `shown` are set aside. */
  state: State;
  /** What is shown of ended iterations. */
  shown: ReadonlyMap<string, SummaryLine>;
  /** The events of one iteration, if it was asked for: it is in the state in full. */
  events: LoggedEvent[];
}

/** What is read, and what a copy will keep of it. */
class Reading {
  state: State;
  readonly shown: Map<string, SummaryLine>;
  readonly events: LoggedEvent[] = [];
  /** Whether the state rests on what the copy held before. */
  isFromCopy: boolean;
  readonly #copy: ReaderCopy | undefined;
  #keyChanges: number[];
  alarms: AlarmGroups;
  /** Whether everything up to here is in the copy, as far as it may write. */
  #isKept: boolean;
  /** The last message of the copy. */
  #end: number;
  #atHand: KeptMessage | undefined;
  /** A key was revoked after the copy was made: it is made again. */
  #isOutdated = false;

  readonly #keeps: (logged: LoggedEvent) => boolean;

  /** @param keeps which events are wanted, besides the state: a log may hold more than memory does. */
  constructor(
    copy: ReaderCopy | undefined,
    begun: KeptState | undefined,
    keeps: (logged: LoggedEvent) => boolean,
  ) {
    this.#keeps = keeps;
    this.#copy = copy;
    this.state = begun?.state ?? initialState;
    this.shown = new Map(begun?.shown);
    this.isFromCopy = begun !== undefined;
    this.#keyChanges = [...(begun?.keyChanges ?? [])];
    this.alarms = new AlarmGroups(begun?.alarms);
    this.#isKept = copy?.isWriter === true;
    this.#end = this.state.sequence;
  }

  /** The messages of the copy, all of them. */
  *known(copy: ReaderCopy): Generator<KnownRow> {
    for (const row of copy.log.known()) {
      this.isFromCopy = true;
      this.#end = row.sequence;
      yield row;
    }
  }

  /** The log is read from the start, without what the copy held. */
  reset(): void {
    this.state = initialState;
    this.shown.clear();
    this.events.length = 0;
    this.isFromCopy = false;
    this.#keyChanges = [];
    this.alarms = new AlarmGroups();
    this.#end = 0;
    this.#isOutdated = false;
    this.#isKept = this.#copy?.isWriter === true;
    this.#write((copy) => copy.startAnew());
  }

  /** Writes to the copy, which is a cache: without room for it, the log is read all the same. */
  #write(write: (copy: ReaderCopy) => void): void {
    if (!this.#copy || !this.#isKept) return;
    try {
      write(this.#copy);
    } catch (error) {
      if (isDamaged(error)) throw error;
      this.#isKept = false;
    }
  }

  takeMessage(message: KeptMessage): void {
    if (message.sequence !== this.#end + 1) this.#isKept = false; // the log has lost events
    this.#end = message.sequence;
    this.#atHand = message;
  }

  /** @param seq the event's number among its writer's; 0 if the message is no event. */
  #keepAtHand(seq: number): KeptMessage | undefined {
    const message = this.#atHand;
    if (message) this.#write(({ log }) => log.keep(message, seq));
    this.#atHand = undefined;
    return message;
  }

  /** Where what is reported of the log goes: `alarms` are others once the log is read again. */
  reports(): ReturnType<typeof reportsInto> {
    const of = () => this.alarms;
    return reportsInto({ note: (alarm) => of().note(alarm), acknowledge: (one) => of().acknowledge(one) });
  }

  takeRefused(refused: RefusedMessage): void {
    reportsInto(this.alarms).onRefused(refused);
    const message = this.#keepAtHand(0);
    // It may have a place in its writer's chain, which the state does not show.
    if (message && mayNameBlobs(message.bytes)) this.#isKept = false;
  }

  takeEvent(logged: LoggedEvent): void {
    const { event, sequence } = logged;
    if (lacksOf(logged).length > 0) this.#isKept = false; // what it lacks may be there the next time
    const isNew = this.#keepAtHand(event.writerseq) !== undefined;
    if (this.#copy && this.state.ended.has(event.iteration)) {
      this.state = takeBackFrom(this.#copy, this.state, event.iteration);
      this.shown.delete(event.iteration);
    }
    this.state = evolve(this.state, logged);
    if (this.#keeps(logged)) this.events.push(logged);
    if (event.kind !== 'fleet' || (event.type !== 'KeyRotated' && event.type !== 'KeyRevoked')) return;
    this.#keyChanges.push(sequence);
    this.#isOutdated ||= isNew && this.isFromCopy && event.type === 'KeyRevoked';
  }

  /** The copy, as the store for the blobs of events. */
  readonly blobs: BlobStore = {
    get: (sha256) => this.#copy?.log.blob(sha256),
    keep: (sha256, bytes) => this.#write(({ log }) => log.keepBlobs([{ sha256, bytes }])),
  };

  /** The log was read up to this sequence. @returns whether the copy is as it should be. */
  end(sequence: number): boolean {
    this.state = passOver(this.state, sequence);
    const [state, keyChanges, alarms] = [this.state, this.#keyChanges, this.alarms.kept()];
    this.#write((copy) =>
      this.#isOutdated ? copy.startAnew() : keepState(copy, { state, keyChanges, alarms }),
    );
    return this.#isKept;
  }
}

/**
 * A log that a person reads by their own copy of it. What stands there byte for byte was checked when it was put there, so
 * it is not checked again; what the log holds after it is, and is added. The copy is compared with the log before anything
 * of it is believed.
 */
export class KeptLog {
  readonly #log: EventLog;
  readonly #tell: (alarms: AlarmGroups) => void;
  readonly #copy: { file: string; by: string } | undefined;

  /**
   * @param copy its file, and what its messages are checked by; without one, everything is read from the log.
   * @param tell receives what is wrong with the log, after each reading.
   */
  constructor(log: EventLog, tell: (alarms: AlarmGroups) => void, copy?: { file: string; by: string }) {
    this.#log = log;
    this.#tell = tell;
    this.#copy = copy;
  }

  /** Reads the whole log. @throws {LogFault} */
  read(): Promise<LogRead> {
    return this.#withCopy(async (copy) => {
      const { reading, isKept } = await this.#read(copy, undefined, () => true);
      return { isKept, result: { events: reading.events, state: reading.state } };
    });
  }

  /**
   * Reads how the log stands.
   * @param iteration is wanted in full. @param details see {@link readKeptState}. @throws {LogFault}
   */
  standing({ iteration, details = false }: { iteration?: string; details?: boolean }): Promise<LogStanding> {
    return this.#withCopy(async (copy) => {
      const begun = copy && readKeptState(copy, details);
      const { reading, isKept } = await this.#read(copy, begun, ({ event }) => event.iteration === iteration);
      const { state, shown } = reading;
      if (iteration === undefined) return { isKept, result: { state, shown, events: [] } };
      const before = copy && begun && reading.isFromCopy ? copy.log.eventsOf(iteration) : [];
      const last = before.at(-1)?.sequence ?? 0;
      const newer = reading.events.filter((one) => one.sequence > last);
      const events = [...before, ...newer];
      return { isKept, result: { state: takeBack(state, iteration, () => events), shown, events } };
    });
  }

  /** Uses the copy. If it is damaged, it is made again; if it can't be used, everything is read without it. */
  async #withCopy<Result>(
    use: (copy: ReaderCopy | undefined) => Promise<{ result: Result; isKept: boolean }>,
  ): Promise<Result> {
    for (let tried = 0; this.#copy && tried < 2; tried += 1) {
      const copy = openReaderCopy(this.#copy.file, this.#copy.by);
      if (!copy) break;
      let keeps = false;
      try {
        const { result, isKept } = await use(copy);
        keeps = isKept;
        return result;
      } catch (error) {
        if (!isDamaged(error)) throw error;
      } finally {
        copy.close(keeps);
      }
      removeReaderCopy(this.#copy.file);
    }
    return (await use(undefined)).result;
  }

  async #read(
    copy: ReaderCopy | undefined,
    begun: KeptState | undefined,
    keeps: (logged: LoggedEvent) => boolean,
  ) {
    const reading = new Reading(copy, begun, keeps);
    let until = await this.#log.lastSequence();
    await this.#log.follow(
      {
        until,
        ...(begun ? { after: begun.after } : {}),
        ...(copy && !begun ? { known: () => reading.known(copy) } : {}),
        ...(copy ? { blobs: reading.blobs } : {}),
        onMessage: (message) => reading.takeMessage(message),
        onCut: (last) => {
          until = last;
          reading.reset();
        },
        ...reading.reports(),
        onRefused: (refused) => reading.takeRefused(refused),
      },
      (logged) => reading.takeEvent(logged),
    );
    // Not before: what the copy tells may be of another log.
    this.#tell(reading.alarms);
    return { reading, isKept: reading.end(until) };
  }
}
