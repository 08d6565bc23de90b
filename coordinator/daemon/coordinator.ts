import { createSayOnce, type SayOnce } from '../../eventlog/say-once.ts';
import type { DaemonKey } from '../../eventlog/signing/daemon-key.ts';
import { EventTooLarge, type SealedEvent } from '../../eventlog/signing/seal.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import type { BlobStore } from '../../eventlog/stream/blob-reader.ts';
import type { KnownMessage } from '../../eventlog/stream/known-messages.ts';
import { coordinator, type NewEvent } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import { type Command, decide } from '../decider/decide.ts';
import { lastingApprovals } from '../decider/graph.ts';
import { createAppender } from './appender.ts';
import { beginFrom } from './begin-from-copy.ts';
import { createHostsHeard, type HostsHeard } from './hosts-heard.ts';
import { LogCopy } from './log-copy.ts';
import { createLogView, type GrowingView } from './log-view.ts';
import { type Circumstances, nextMove, signingKey } from './next-move.ts';
import { createOfferBlobs } from './offer-blobs.ts';
import type { CoordinatorPorts } from './ports.ts';
import { createSayAgain, type NextAgain } from './say-again.ts';
import { sealDecided } from './seal-decided.ts';
import { createTender } from './tend-consumers.ts';
import { createOpenSince, iterationsUnderWay } from './time-limits.ts';
import { createTurns, type Turns } from './turns.ts';

export interface DaemonOptions extends DaemonKey {
  ports: CoordinatorPorts;
  fleet: Fleet;
  /**
   * The copy of the log, closed at the end. Without it, a cut is noticed only if it happens while this process runs.
   */
  copy?: LogCopy;
  signal: AbortSignal;
}

/**
 * Decides what follows from the log, one event at a time. Each decision is based on a state that holds everything that
 * the log held when it was last asked for its end.
 */
export class Coordinator {
  readonly view: GrowingView;
  readonly heard: HostsHeard;
  readonly tender: ReturnType<typeof createTender>;
  readonly turns: Turns;
  readonly #options: DaemonOptions;
  readonly #copy: LogCopy;
  readonly #copying: SayOnce;
  readonly #offerBlobs;
  readonly #sayAgain;
  readonly #append;
  readonly #forking: SayOnce;
  readonly #sealing: SayOnce;
  readonly #beyond: SayOnce;
  #openSince = createOpenSince();
  #serverNow = 0;
  /** The log's last sequence as far as it is known. No decision is based on an older state. */
  #caughtUpWith = Number.POSITIVE_INFINITY;
  /**
   * How often the connection had been lost when the view was last known to be of the log as it is. A server that comes
   * back may have lost events and hold others in their place, so nothing is decided before the log was compared again.
   */
  #comparedAt: number | undefined;
  /** Whether the copy has taken everything that it was given. */
  #isCopyWhole = true;
  #tending: Promise<void> | undefined;
  /** Whether the next turn checks time limits as well. */
  #looksAtTime = true;
  /** Whether the last turn has left nothing to be done. */
  #isAtRest = false;

  constructor(options: DaemonOptions) {
    const { ports, fleet, copy = new LogCopy(), signal } = options;
    const { say, clock } = ports;
    const trust = trustIn(fleet);
    this.#options = options;
    this.view = createLogView(trust, {
      isWhole: () => this.#isCopyWhole,
      eventsOf: (iteration) => copy.eventsOf(iteration),
      keep: (...ended) => this.withCopy(() => copy.keepEnded(...ended)),
      forget: (iteration) => this.withCopy(() => copy.forgetEnded(iteration)),
    });
    this.heard = createHostsHeard(clock);
    this.tender = createTender(ports, fleet);
    this.turns = createTurns(() => this.#turn(), signal, say);
    this.#copy = copy;
    this.#offerBlobs = createOfferBlobs(copy, ports);
    this.#sayAgain = createSayAgain(this.#copy, trust, say, this.view);
    this.#append = createAppender(ports, { onBack: () => this.countAnew(), signal });
    this.#copying = createSayOnce(say);
    this.#forking = createSayOnce(say);
    this.#sealing = createSayOnce(say);
    this.#beyond = createSayOnce(say);
  }

  /** Uses the copy of the log. The copy is a cache: an error in it is reported and stops nothing. */
  withCopy(use: (copy: LogCopy) => void): void {
    try {
      use(this.#copy);
    } catch (error) {
      this.#isCopyWhole = false;
      this.#copying.trouble(error, 'the copy of the log can not be kept: ');
    }
  }

  /** Restarts all time limits: while the log did not answer, no outcome could arrive. */
  countAnew(): void {
    this.#openSince = createOpenSince();
    this.#offerBlobs.doubt();
  }

  /** The copy, as the store for the blobs of events. */
  readonly blobs: BlobStore = {
    get: (sha256) => {
      let found: Uint8Array | undefined;
      this.withCopy((copy) => {
        found = copy.blob(sha256);
      });
      return found;
    },
    keep: (sha256, bytes) => this.withCopy((copy) => copy.keepBlobs([{ sha256, bytes }])),
  };

  /** The messages of the copy, from which this view begins. */
  *known(): Generator<KnownMessage> {
    for (const message of beginFrom(this.#copy, this.view, this.#options.ports.say)) {
      this.#comparedAt = undefined;
      yield message;
    }
  }

  /** The log holds what the copy does, or everything is read from the log. */
  compared(): void {
    if (this.#isCompared()) return;
    this.#comparedAt = this.#options.ports.clock.losses();
    this.turns.call();
  }

  #isCompared(): boolean {
    return this.#comparedAt === this.#options.ports.clock.losses();
  }

  /** Whether everything is known that the log held when it was last asked. */
  isCaughtUp(): boolean {
    return this.view.state.sequence >= this.#caughtUpWith;
  }

  tellCut(): void {
    this.#options.ports.say(
      `the log was cut: it no longer holds what it held, and ${this.#copy.missing().length} of its events are gone; the coordinator reads it again from the start`,
    );
    this.tender.cut();
  }

  /**
   * Notes the log's last sequence, as the log has just reported it. The log has lost whatever the copy holds beyond it.
   */
  endsAt(last: number): void {
    this.#caughtUpWith = last;
    this.withCopy((copy) => {
      if (!copy.endsAt(last)) this.tellCut();
    });
  }

  /** The log is known to reach that far: a decision on an older state would be refused. */
  reaches(sequence: number): void {
    this.#caughtUpWith = Math.max(this.#caughtUpWith, sequence);
  }

  /** Something may be due by now. */
  lookAtTime(): void {
    // Only what goes on has time limits.
    if (this.#isAtRest && this.view.state.underWay.size === 0) return;
    this.#looksAtTime = true;
    this.turns.call();
  }

  /** Checks the hosts' durable consumers, the clock of the log's server and the coordinator's blobs. */
  tend(): void {
    const { clock } = this.#options.ports;
    const { state } = this.view;
    if (!clock.runs() || !this.#isCompared()) return;
    if (!this.isCaughtUp()) return void this.#lookForEnd();
    const now = clock.now();
    this.#tending ??= Promise.all([
      this.tender.look(state, this.#openSince(state, now), now),
      this.#askTheTime(),
      this.#offerBlobs.look(),
    ])
      .then(() => undefined)
      .finally(() => {
        this.#tending = undefined;
      });
  }

  async settled(): Promise<void> {
    await Promise.all([this.turns.settled(), this.#tending]);
  }

  /** Stops waiting for an event that the log acked and lost before it delivered it. */
  async #lookForEnd(): Promise<void> {
    const last = await this.#options.ports.log.lastSequence().catch(() => undefined);
    const waitsFor = this.#caughtUpWith;
    if (last === undefined || last >= waitsFor || waitsFor === Number.POSITIVE_INFINITY) return;
    this.#caughtUpWith = last;
    this.turns.call();
  }

  /** Asks for the server's time, by which approvals expire; only while there is an approval that can expire. */
  async #askTheTime(): Promise<void> {
    if (!iterationsUnderWay(this.view.state).some((one) => lastingApprovals(one).length > 0)) return;
    const now = await this.#options.ports.log.serverTime().catch(() => undefined);
    this.#serverNow = now?.getTime() ?? this.#serverNow;
  }

  #circumstances(): Circumstances {
    const { ports, fleet, key, former } = this.#options;
    const { state } = this.view;
    const now = ports.clock.now();
    const { lastSeen, knows: knownBy } = this.heard;
    let stopwatch: Circumstances['stopwatch'];
    if (this.#looksAtTime) {
      const openSince = this.#openSince(state, now);
      stopwatch = { now, lastSeen, openSince, isUnknownTo: this.tender.isUnknownTo(openSince) };
    }
    let again: NextAgain = { do: 'decide' };
    this.withCopy(() => {
      again = this.#sayAgain(state, now);
    });
    return { fleet, key, former, again, stopwatch, serverNow: this.#serverNow, knownBy };
  }

  async #turn(): Promise<void> {
    this.#isAtRest = false;
    // An event published while the server is away would be sent once it is back, when it may be out of date.
    if (!this.#isCompared() || !this.isCaughtUp()) return;
    if (!this.#options.ports.clock.runs()) return;
    const move = nextMove(this.view, this.#circumstances());
    switch (move.do) {
      case 'wait':
        return;
      case 'alarm':
        return this.#forking.trouble(new Error(move.says), 'ALARM: ');
      case 'append':
        return void (await this.#appendSealed(move.event));
      case 'rotate': {
        const sealed = this.#seal(move.event);
        return void (sealed && (await this.#appendSealed(sealed)));
      }
      case 'decide':
        if (move.says !== undefined) this.#beyond.trouble(new Error(move.says), 'ALARM: ');
        if ((await this.#decideFirst(move.overdue)) !== 'nothing') return; // there may be more of it
        this.#looksAtTime = false;
        this.#isAtRest = (await this.#decideFirst(move.commands)) === 'nothing';
    }
  }

  async #appendSealed(sealed: SealedEvent) {
    this.withCopy((copy) => copy.keepOwnBlobs(sealed.blobs));
    const appended = await this.#append(sealed, this.view.state.sequence);
    // The next decision waits until the log delivers this event.
    if (typeof appended === 'number') this.#caughtUpWith = appended;
    return appended;
  }

  /**
   * Seals an event. @returns undefined if one host's evidence makes it too large: only its own iteration stops then.
   */
  #seal(event: NewEvent): SealedEvent | undefined {
    const { ports, fleet, key, former } = this.#options;
    try {
      const own = { fleet: fleet.fleet, name: coordinator, key: signingKey(this.view, { key, former }) };
      const { state, restored } = this.view;
      return sealDecided(event, own, state, ports.clock.wallClock(), restored);
    } catch (error) {
      if (!(error instanceof EventTooLarge)) throw error;
      this.#sealing.trouble(error, 'ALARM: nothing can be asked: ');
      return undefined;
    }
  }

  /**
   * Whether the iteration has evidence that can't be read. Nothing is decided about it, neither with that evidence nor
   * as if there were none, unless a person has aborted the iteration.
   */
  #isUnclear(iteration: string): boolean {
    const { lacking, state } = this.view;
    return lacking.has(iteration) && state.iterations.get(iteration)?.abort === undefined;
  }

  /**
   * Appends the first event of the commands that can be appended. An iteration that is stuck does not stop the others.
   * @returns what came of it: `refused` if the log has moved on or does not answer, so that all is decided again.
   */
  async #decideFirst(commands: Iterable<Command>): Promise<'appended' | 'refused' | 'nothing'> {
    for (const command of commands) {
      const events = decide(command, this.view.state).filter(({ iteration }) => !this.#isUnclear(iteration));
      if (events.length === 0 && command.do === 'Advance' && command.iteration !== undefined)
        this.view.settle(command.iteration);
      for (const event of events) {
        const sealed = this.#seal(event);
        if (!sealed) continue;
        const appended = await this.#appendSealed(sealed);
        if (typeof appended === 'number') return 'appended';
        if (appended === undefined) return 'refused';
      }
    }
    return 'nothing';
  }
}
