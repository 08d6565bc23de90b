import { isDeepStrictEqual } from 'node:util';
import type { LoggedEvent } from '../../eventlog/signing/check-event.ts';
import { coordinator, isPerson } from '../../schemas/events.ts';
import { stepNames } from '../../schemas/step-names.ts';
import { commandsBehind, decideFacts, writtenFact } from '../decider/commands-behind.ts';
import { evolve, maySay } from '../decider/evolve.ts';
import { reviewOf } from '../decider/graph.ts';
import { type Attempt, type Iteration, initialState, type State } from '../decider/state.ts';
import { verdictsOf } from '../decider/verdicts.ts';

interface Mismatch {
  sequence: number;
  type: string;
  /** What the log holds, and what today's code would write; null if nothing. */
  found: unknown;
  expected: unknown;
  why: string;
}

export interface ReplayChecked {
  events: number;
  /** How many of them were decided again. */
  decided: number;
  mismatches: Mismatch[];
}

const differingKeys = (found: Record<string, unknown>, expected: Record<string, unknown>): string[] =>
  [...new Set([...Object.keys(found), ...Object.keys(expected)])].filter(
    (key) => !isDeepStrictEqual(found[key], expected[key]),
  );

/** Compares an event with what the state before it makes of the commands that may be behind it. */
const compare = (logged: LoggedEvent, state: State): Mismatch | undefined => {
  const { event, sequence } = logged;
  const found = writtenFact(logged);
  const mismatch = (why: string, expected: unknown = null) => ({
    sequence,
    type: event.type,
    found,
    expected,
    why,
  });
  const commands = commandsBehind(event);
  const isOwn =
    event.kind === 'fleet'
      ? event.source === coordinator
      : event.kind !== 'unknown' && maySay(event, state.iterations.get(event.iteration));
  if (!isOwn || commands.length === 0) return mismatch(`${event.source} has no such thing to say`);
  const decided = commands.map((command) => decideFacts(command, state));
  const facts = decided.flatMap((one) => one.facts);
  // Of several events that one state asks for, any may be appended first.
  if (facts.some((fact) => isDeepStrictEqual(fact, found))) return undefined;
  const nearest =
    facts.findLast((fact) => fact.type === found.type && fact.iteration === found.iteration) ?? facts[0];
  if (nearest)
    return mismatch(
      nearest.type === found.type
        ? `today's code writes another ${differingKeys(found, nearest).join(', ')}`
        : `today's code writes ${nearest.type} here`,
      nearest,
    );
  const refused = decided.find((one) => one.refused !== undefined)?.refused;
  return mismatch(refused ? `today's code refuses it: ${refused}` : "today's code writes nothing here");
};

/**
 * Folds a log again and decides again, from the state before it, every event that the coordinator or the operator
 * wrote. Of a time-out only its reason is taken over, since no clock is read. Events of types that this version does
 * not know, and those of hosts, are folded alone.
 */
export const replayCheck = (events: readonly LoggedEvent[]): ReplayChecked => {
  let state = initialState;
  let decided = 0;
  const mismatches: Mismatch[] = [];
  for (const logged of events) {
    const { source, kind } = logged.event;
    const isDecided = kind !== 'unknown' && (kind !== 'fleet' || logged.event.type === 'Checkpointed');
    if ((source === coordinator || isPerson(source)) && isDecided) {
      decided += 1;
      const mismatch = compare(logged, state);
      if (mismatch) mismatches.push(mismatch);
    }
    state = evolve(state, logged);
  }
  return { events: events.length, decided, mismatches };
};

const describeAttempt = (attempt: Attempt) => {
  const { number, host, status, requested } = attempt;
  const shared = { attempt: number, host, status, requested: requested.sequence };
  switch (attempt.status) {
    case 'open':
      return shared;
    case 'succeeded':
      return { ...shared, ended: attempt.ended.sequence, seconds: attempt.seconds };
    case 'failed':
      return {
        ...shared,
        ended: attempt.ended.sequence,
        fault: attempt.failure.fault,
        because: attempt.failure.reason,
      };
    case 'superseded':
      return {
        ...shared,
        ended: attempt.ended.sequence,
        because: attempt.because,
        ...(attempt.late === undefined ? {} : { late: attempt.late }),
      };
  }
};

const describeIteration = (iteration: Iteration) => {
  const { plan, planSha256, ended, abort, approvals, waivers, retries } = iteration;
  const review = reviewOf(iteration);
  return {
    title: plan.title,
    board: plan.board,
    planSha256,
    started: { sequence: iteration.started.sequence, time: iteration.started.time, by: iteration.startedBy },
    status: ended?.status ?? 'under way',
    ...(ended ? { ended: { sequence: ended.sequence, time: ended.time, because: ended.because } } : {}),
    ...(abort ? { abort } : {}),
    review: review
      ? { asked: review.asked, missing: review.missing, rejectedBy: review.rejected?.by ?? null }
      : null,
    approvals: approvals.map(({ by, approved, note, sequence }) => ({ by, approved, note, sequence })),
    waivers,
    retries,
    steps: Object.fromEntries(
      stepNames.map((step) => [step, (iteration.attempts[step] as Attempt[]).map(describeAttempt)]),
    ),
    clauses: verdictsOf(iteration).map(({ id, verdict, because, events }) => ({
      id,
      verdict,
      because,
      events,
    })),
  };
};

/** The state as plain JSON: iterations, each with its attempts and verdicts, and the hosts as last heard of. */
const describeState = (state: State) => ({
  sequence: state.sequence,
  iterations: Object.fromEntries(
    [...state.iterations].map(([name, iteration]) => [name, describeIteration(iteration)]),
  ),
  hosts: Object.fromEntries(
    [...state.hosts].map(([name, { startedAt, ...host }]) => [
      name,
      { ...host, startedAt: { sequence: startedAt.sequence, time: startedAt.time } },
    ]),
  ),
});
export type StateDescribed = ReturnType<typeof describeState>;

/** The state as it was after a sequence. */
export const stateAt = (events: readonly LoggedEvent[], sequence: number): StateDescribed =>
  describeState(events.filter((logged) => logged.sequence <= sequence).reduce(evolve, initialState));
