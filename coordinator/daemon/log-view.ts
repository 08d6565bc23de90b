import { type KeptMessage, lacksOf } from '../../eventlog/signing/check-event.ts';
import { createKeyHistory, type KeyHistory } from '../../eventlog/signing/key-history.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { LogTree } from '../../eventlog/tree/log-tree.ts';
import type { KaEvent, LoggedEvent } from '../../schemas/events.ts';
import { touchedBy } from '../decider/decide.ts';
import {
  type Aside,
  asideOf,
  canBePassed,
  type EventsOf,
  type Passed,
  passEnd,
  passEvent,
  setAside,
  takeBack,
} from '../decider/ended-iterations.ts';
import { evolve, passOver } from '../decider/evolve.ts';
import { initialState, type State } from '../decider/state.ts';

/** The log differs from the one that this coordinator signed in a checkpoint. */
export interface Fork {
  /** The epoch in which the fork was found. A person who restores the log begins a newer epoch. */
  epoch: number;
  says: string;
}

/** What a coordinator knows of the log: everything that follows from the messages it has received. */
export interface LogView {
  readonly state: State;
  /** The tree over all messages that the state was folded from. */
  readonly tree: LogTree;
  /** The key in use of each writer. */
  readonly keys: KeyHistory;
  /** The message that began this epoch of the log; undefined in the first. */
  readonly restored: KeptMessage | undefined;
  readonly fork: Fork | undefined;
  /** The iterations with an event whose blobs could not be read: their state is not known. */
  readonly lacking: ReadonlySet<string>;
  /** The iterations about which there may be something to decide, in the order of their events. */
  readonly undecided: ReadonlySet<string>;
}

/** A {@link LogView} that takes the log's messages, in their order. */
export interface GrowingView extends LogView {
  /** Takes every message, before it is known whether it is an event. @param leaf see `leafOf`. */
  takeMessage(message: KeptMessage, leaf: Uint8Array): void;
  takeEvent(logged: LoggedEvent): void;
  /** A message that is no event: only the position moves. */
  passOver(sequence: number): void;
  /** An event of an iteration that has ended. @param ends what the state keeps of the iteration, if this event ended it. */
  pass(sequence: number, passed: Passed, ends: Aside | undefined): void;
  /** There is nothing to decide about that iteration as things are. If it has ended, it leaves memory. */
  settle(iteration: string): void;
  /** The whole log will be delivered again from the start. */
  reset(): void;
}

/** The root over the first `size` events of a log, base64; `nothing` if the log is shorter. */
export const rootOver = (size: number, tree: LogTree): string =>
  size <= tree.size ? Buffer.from(tree.rootAt(size)).toString('base64') : 'nothing';

/** The fork that a checkpoint shows, if it was signed over another log than the one that holds it. */
const forkShownBy = (event: KaEvent, sequence: number, tree: LogTree): Fork | undefined => {
  if (event.kind !== 'fleet' || event.type !== 'Checkpointed') return undefined;
  const { size, root } = event.data;
  const now = rootOver(size, tree);
  if (now === root) return undefined;
  const says = `the log was rewritten: at ${size} events its head was ${root}, signed at sequence ${sequence}, and is ${now} now; nothing is asked for any more; next: ka audit --verify, then ka log restore`;
  return { epoch: event.epoch ?? 1, says };
};

/** Where the events of iterations are kept that leave memory. */
export interface KeptIterations {
  /** Whether every message that was taken is kept. Until then none leaves memory. */
  isWhole(): boolean;
  eventsOf: EventsOf;
  /** Its events need not be read again. @param upTo the sequence up to which they are folded. */
  keep(iteration: string, upTo: number, aside: Aside): void;
  forget(iteration: string): void;
}

class FoldedView implements GrowingView {
  state = initialState;
  tree = new LogTree();
  keys: KeyHistory;
  restored: KeptMessage | undefined;
  fork: Fork | undefined;
  readonly lacking = new Set<string>();
  readonly undecided = new Set<string>();
  #atHand: KeptMessage | undefined;
  readonly #trust: Trust;
  readonly #kept: KeptIterations;

  constructor(trust: Trust, kept: KeptIterations) {
    this.keys = createKeyHistory(trust);
    this.#trust = trust;
    this.#kept = kept;
  }

  /**
   * Compares a checkpoint that this coordinator signed with the log as it reads now. They have to agree, unless a
   * person has restored the log since.
   */
  #lookForFork({ event, sequence }: LoggedEvent): void {
    if (event.kind === 'fleet' && event.type === 'LogRestored') {
      this.restored = this.#atHand;
      if (this.fork !== undefined && this.fork.epoch < event.data.epoch) this.fork = undefined;
    }
    this.fork = forkShownBy(event, sequence, this.tree) ?? this.fork;
  }

  takeMessage(message: KeptMessage, leaf: Uint8Array): void {
    this.#atHand = message;
    if (message.sequence === this.tree.size + 1) this.tree.append(leaf);
  }

  takeEvent(logged: LoggedEvent): void {
    const { iteration } = logged.event;
    if (this.state.ended.has(iteration)) {
      this.state = takeBack(this.state, iteration, this.#kept.eventsOf);
      this.#kept.forget(iteration);
    }
    this.state = evolve(this.state, logged);
    for (const name of touchedBy(logged, this.state)) this.undecided.add(name);
    if (lacksOf(logged).length > 0) this.lacking.add(iteration);
    this.#lookForFork(logged);
    this.keys.note(logged.event, logged.sequence);
  }

  passOver(sequence: number): void {
    this.state = passOver(this.state, sequence);
  }

  pass(sequence: number, passed: Passed, ends: Aside | undefined): void {
    this.state = passEvent(this.state, sequence, passed);
    if (ends) this.state = passEnd(this.state, ends);
  }

  settle(iteration: string): void {
    this.undecided.delete(iteration);
    if (!this.#kept.isWhole() || this.lacking.has(iteration)) return;
    const aside = asideOf(this.state, iteration);
    if (!aside) return;
    this.state = setAside(this.state, aside);
    if (canBePassed(aside)) this.#kept.keep(iteration, this.state.sequence, aside);
  }

  reset(): void {
    this.state = initialState;
    this.tree = new LogTree();
    this.lacking.clear();
    this.undecided.clear();
    this.keys = createKeyHistory(this.#trust);
    this.restored = undefined;
    this.fork = undefined;
  }
}

export const createLogView = (trust: Trust, kept: KeptIterations): GrowingView => new FoldedView(trust, kept);
