import type { LoggedEvent } from '../../schemas/events.ts';
import { evolve } from './evolve.ts';
import { type Iteration, initialState, type State } from './state.ts';

/*
 * Memory holds what has not ended. An iteration is a fold of its own events alone, so one that has ended can be set aside, and
 * folded again from them when somebody speaks of it once more.
 */

/** What is kept of an iteration's events, in the log's order. */
export type EventsOf = (iteration: string) => Iterable<LoggedEvent>;

/** Events that belong to it and come after this state are not in its state yet. */
const foldOwn = (name: string, eventsOf: EventsOf, upTo: number): Iteration | undefined => {
  let own = initialState;
  for (const logged of eventsOf(name)) if (logged.sequence <= upTo) own = evolve(own, logged);
  return own.iterations.get(name);
};

/** The state with an ended iteration set aside; the same state if it has not ended, or can't be folded again. */
export const setAside = (state: State, name: string, eventsOf: EventsOf): State => {
  const iteration = state.iterations.get(name);
  if (!iteration?.ended || foldOwn(name, eventsOf, state.sequence)?.digest !== iteration.digest) return state;
  const { plan, startedBy, started, ended, digest } = iteration;
  const { status, sequence, time } = ended;
  const known = { name, board: plan.board, startedBy, started, ended: { status, sequence, time }, digest };
  return { ...state, iterations: state.iterations.delete(name), ended: state.ended.set(name, known) };
};

/** The state with an iteration in full again that was set aside. @throws {Error} if what is kept of it is another one. */
export const takeBack = (state: State, name: string, eventsOf: EventsOf): State => {
  const known = state.ended.get(name);
  if (!known) return state;
  const iteration = foldOwn(name, eventsOf, state.sequence);
  if (iteration?.digest !== known.digest)
    throw new Error(
      `the events of ${name} that are kept do not make the iteration that ended: they are read anew`,
    );
  return { ...state, iterations: state.iterations.set(name, iteration), ended: state.ended.delete(name) };
};
