import { type KeptMessage, lacksOf } from '../../eventlog/signing/check-event.ts';
import { createKeyHistory, type KeyHistory } from '../../eventlog/signing/key-history.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { LogTree } from '../../eventlog/tree/log-tree.ts';
import type { KaEvent, LoggedEvent } from '../../schemas/events.ts';
import { touchedBy } from '../decider/decide.ts';
import { type EventsOf, setAside, takeBack } from '../decider/ended-iterations.ts';
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

/** @param eventsOf the events of an iteration that were delivered, as far as they are kept. */
export const createLogView = (trust: Trust, eventsOf: EventsOf): GrowingView => {
  let state = initialState;
  let tree = new LogTree();
  let keys = createKeyHistory(trust);
  let restored: KeptMessage | undefined;
  let fork: Fork | undefined;
  let atHand: KeptMessage | undefined;
  const lacking = new Set<string>();
  const undecided = new Set<string>();

  /**
   * Compares a checkpoint that this coordinator signed with the log as it reads now. They have to agree, unless a
   * person has restored the log since.
   */
  const lookForFork = ({ event, sequence }: LoggedEvent) => {
    if (event.kind === 'fleet' && event.type === 'LogRestored') {
      restored = atHand;
      if (fork !== undefined && fork.epoch < event.data.epoch) fork = undefined;
    }
    fork = forkShownBy(event, sequence, tree) ?? fork;
  };

  return {
    get state() {
      return state;
    },
    get tree() {
      return tree;
    },
    get keys() {
      return keys;
    },
    get restored() {
      return restored;
    },
    get fork() {
      return fork;
    },
    lacking,
    undecided,
    takeMessage(message, leaf) {
      atHand = message;
      if (message.sequence === tree.size + 1) tree.append(leaf);
    },
    takeEvent(logged) {
      const { iteration } = logged.event;
      if (state.ended.has(iteration)) state = takeBack(state, iteration, eventsOf);
      state = evolve(state, logged);
      for (const name of touchedBy(logged, state)) undecided.add(name);
      if (lacksOf(logged).length > 0) lacking.add(iteration);
      lookForFork(logged);
      keys.note(logged.event, logged.sequence);
    },
    passOver(sequence) {
      state = passOver(state, sequence);
    },
    settle(iteration) {
      undecided.delete(iteration);
      state = setAside(state, iteration, eventsOf);
    },
    reset() {
      state = initialState;
      tree = new LogTree();
      lacking.clear();
      undecided.clear();
      keys = createKeyHistory(trust);
      [restored, fork] = [undefined, undefined];
    },
  };
};
