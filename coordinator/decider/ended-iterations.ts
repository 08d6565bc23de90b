import type { LoggedEvent } from '../../schemas/events.ts';
import { evolve, hostsOf } from './evolve.ts';
import {
  type EndedIteration,
  evidenceOf,
  type Iteration,
  initialState,
  type Landed,
  type Starts,
  type State,
} from './state.ts';

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

/** What the state keeps of an iteration that was set aside: it stands for all of the iteration's events. */
export interface Aside {
  iteration: EndedIteration;
  starts: Starts;
}

/** What a closed iteration has landed in its package's folder. */
const landedBy = (iteration: Iteration): Landed | undefined => {
  const { repository, folder } = iteration.plan.package;
  const commits = iteration.ended?.status === 'closed' ? evidenceOf(iteration, 'land')?.evidence.commits : [];
  const commit = commits?.find((one) => one.repository === repository)?.commit;
  return commit === undefined ? undefined : { repository, folder, commit };
};

/** The last iteration that has closed with something landed in this folder. */
export const lastClosed = (
  { iterations, ended }: Pick<State, 'iterations' | 'ended'>,
  { repository, folder }: Omit<Landed, 'commit'>,
): { iteration: string; commit: string } | undefined => {
  const closed = [
    ...[...ended.values()].map(({ name, landed, ended: { sequence } }) => ({ name, landed, sequence })),
    ...[...iterations.values()].map((one) => ({
      name: one.name,
      landed: landedBy(one),
      sequence: one.ended?.sequence ?? 0,
    })),
  ].filter(({ landed }) => landed?.repository === repository && landed.folder === folder);
  const last = closed.toSorted((one, other) => one.sequence - other.sequence).at(-1);
  return last?.landed && { iteration: last.name, commit: last.landed.commit };
};

/** What the state will keep of an iteration; undefined if it has not ended, or more than its own events is needed for it. */
export const asideOf = (state: State, name: string): Aside | undefined => {
  const [iteration, starts] = [state.iterations.get(name), state.starts.get(name)];
  if (!iteration?.ended || !starts || starts.open.length > 0) return undefined;
  if (state.early.some(({ event }) => event.iteration === name)) return undefined;
  const { plan, startedBy, started, ended, digest, retries } = iteration;
  const { status, sequence, time } = ended;
  const end = { status, sequence, time };
  const landed = landedBy(iteration);
  return {
    iteration: {
      ...{ name, board: plan.board, hosts: hostsOf(plan), startedBy, started, ended: end, digest },
      ...(landed ? { landed } : {}),
      isRetried: retries.length > 0,
    },
    starts,
  };
};

/** The state with an ended iteration set aside. */
export const setAside = (state: State, { iteration }: Aside): State => {
  const { name } = iteration;
  return { ...state, iterations: state.iterations.delete(name), ended: state.ended.set(name, iteration) };
};

/** The state with an iteration in full again that was set aside. @throws {Error} if what is kept of it is another one. */
export const takeBack = (state: State, name: string, eventsOf: EventsOf): State => {
  const known = state.ended.get(name);
  if (!known) return state;
  const iteration = foldOwn(name, eventsOf, state.sequence);
  if (iteration?.digest !== known.digest)
    throw new Error(`the kept events of ${name} do not make the iteration that ended`);
  return { ...state, iterations: state.iterations.set(name, iteration), ended: state.ended.delete(name) };
};

/**
 * Whether {@link passEnd} gives the state after an iteration's events without reading them. A refused start and an end
 * before a retry make checkpoints due at their own places, and only the events show for whom.
 */
export const canBePassed = ({ starts, iteration }: Aside): boolean =>
  starts.refusals === 0 && !iteration.isRetried;

/** The state as if the events of an ended iteration had been folded up to its end, and it had been set aside. */
export const passEnd = (state: State, { iteration, starts }: Aside): State => {
  const { name, hosts, ended } = iteration;
  return {
    ...state,
    starts: state.starts.set(name, starts),
    ended: state.ended.set(name, iteration),
    lastEnd: ended.sequence,
    untold: hosts.reduce((untold, host) => untold.set(host, ended.sequence), state.untold),
  };
};

/** The state after an event that is not looked at: only the position and its writer's chain move. */
export const passEvent = (state: State, sequence: number, { writer, seq, hash }: Passed): State => ({
  ...state,
  sequence,
  writers: state.writers.set(writer, { seq, hash }),
});

/** A writer's event that is not looked at: the writer's own count and the event's hash. */
export interface Passed {
  writer: string;
  seq: number;
  hash: string;
}
