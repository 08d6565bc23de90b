import { isDeepStrictEqual } from 'node:util';
import { coordinator, isPerson, type KaEvent, type LoggedEvent } from '../../schemas/events.ts';
import { stepNames } from '../../schemas/step-names.ts';
import { commandsBehind, decideFacts, isDecision, writtenFact } from '../decider/commands-behind.ts';
import { evolve, maySay } from '../decider/evolve.ts';
import { reviewOf } from '../decider/graph.ts';
import { rules } from '../decider/rules.ts';
import {
  type Attempt,
  attemptsOf,
  type End,
  type Iteration,
  initialState,
  type State,
} from '../decider/state.ts';
import { verdictsOf } from '../decider/verdicts.ts';
import { refusalWords } from './english/refusals.ts';

interface Mismatch {
  sequence: number;
  type: string;
  /** What the log holds, and what today's code would write; null if it would write nothing. */
  found: unknown;
  expected: unknown;
  why: string;
}

export interface ReplayChecked {
  events: number;
  /** How many of them were decided again. */
  decided: number;
  /** How many this version can't judge, because a newer one decided them. */
  unjudged: number;
  mismatches: Mismatch[];
}

const differingKeys = (found: Record<string, unknown>, expected: Record<string, unknown>): string[] =>
  [...new Set([...Object.keys(found), ...Object.keys(expected)])].filter(
    (key) => !isDeepStrictEqual(found[key], expected[key]),
  );

const mismatchOf = (logged: LoggedEvent, why: string, expected: unknown = null): Mismatch => {
  const { sequence, event } = logged;
  return { sequence, type: event.type, found: writtenFact(logged), expected, why };
};

/** Whether it is an event of the coordinator or of a person about an iteration, or a checkpoint. */
const isOfTheirs = ({ source, kind, type }: KaEvent): boolean =>
  (source === coordinator || isPerson(source)) &&
  kind !== 'unknown' &&
  (kind !== 'fleet' || type === 'Checkpointed');

const isOwn = (event: KaEvent, state: State): boolean => {
  if (event.kind === 'fleet') return event.source === coordinator;
  return event.kind !== 'unknown' && maySay(event, state.iterations.get(event.iteration));
};

/** Compares an event with what the commands that may be behind it produce on the state before it. */
const compare = (logged: LoggedEvent, state: State): Mismatch | undefined => {
  const found = writtenFact(logged);
  const mismatch = (why: string, expected?: unknown) => mismatchOf(logged, why, expected);
  const decided = commandsBehind(logged.event).map((command) => decideFacts(command, state));
  const facts = decided.flatMap((one) => one.facts);
  // People's events name as their cause what they had seen. After a log was cut, they may come before their cause.
  const answered = isPerson(logged.event.source) ? { causationid: found.causationid } : {};
  // If a state asks for several events, any of them may be appended first.
  if (facts.some((fact) => isDeepStrictEqual({ ...fact, ...answered }, found))) return undefined;
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
  return mismatch(
    refused
      ? `today's code refuses it: ${refusalWords(refused.iteration, refused.reason)}`
      : "today's code writes nothing here",
  );
};

/**
 * The mismatch if today's code would not write this event. For an event that is no decision, only its writer is
 * checked.
 */
const judge = (logged: LoggedEvent, state: State): Mismatch | undefined => {
  const { event } = logged;
  if (!isOwn(event, state)) return mismatchOf(logged, `${event.source} may not write this event`);
  return isDecision(event) ? compare(logged, state) : undefined;
};

/**
 * Whether this version can't judge the event, because a newer one wrote it with a reason or a rule that this one does
 * not know.
 */
const isBeyondUs = ({ event }: LoggedEvent, state: State): boolean => {
  const iteration = state.iterations.get(event.iteration);
  return (iteration && rules.unknownIn(iteration).length > 0) || commandsBehind(event).length === 0;
};

/**
 * Folds a log again. Decides again, on the state before it, every event of the coordinator and every event of a person
 * that takes effect at once. No clock is read: the reason of a time-out is taken from the event, and so are the fleet's
 * facts of an answer. What people ask for, events of hosts, and types that this version does not know are only folded.
 */
export const replayCheck = (events: readonly LoggedEvent[]): ReplayChecked => {
  let state = initialState;
  let decided = 0;
  let unjudged = 0;
  const mismatches: Mismatch[] = [];
  for (const logged of events) {
    const { event } = logged;
    if (isOfTheirs(event)) {
      const isUnjudged = isDecision(event) && isBeyondUs(logged, state);
      if (isUnjudged) unjudged += 1;
      else if (isDecision(event)) decided += 1;
      const mismatch = isUnjudged ? undefined : judge(logged, state);
      if (mismatch) mismatches.push(mismatch);
    }
    state = evolve(state, logged);
  }
  return { events: events.length, decided, unjudged, mismatches };
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
        reason: attempt.reason,
        ...(attempt.late === undefined ? {} : { late: attempt.late }),
      };
  }
};

const endOf = ({ eventId: _eventId, status: _status, ...ended }: End) => ended;

const describeIteration = (iteration: Iteration) => {
  const { plan, planSha256, ended, abort, approvals, waivers, retries } = iteration;
  const review = reviewOf(iteration);
  return {
    title: plan.title,
    board: plan.board,
    planSha256,
    started: { sequence: iteration.started.sequence, time: iteration.started.time, by: iteration.startedBy },
    status: ended?.status ?? 'under way',
    ...(ended ? { ended: endOf(ended) } : {}),
    ...(abort ? { abort } : {}),
    review: review
      ? { asked: review.asked, missing: review.missing, rejectedBy: review.rejected?.by ?? null }
      : null,
    approvals: approvals.map(({ by, approved, note, sequence }) => ({ by, approved, note, sequence })),
    waivers,
    retries,
    steps: Object.fromEntries(
      stepNames.map((step) => [step, attemptsOf<typeof step>(iteration, step).map(describeAttempt)]),
    ),
    clauses: verdictsOf(iteration).map(({ id, verdict, faults, events }) => ({
      id,
      verdict,
      faults,
      events,
    })),
  };
};

/** The state as plain JSON: iterations, each with its attempts and verdicts, and the hosts as they last started. */
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

/** The state after a sequence. */
export const stateAt = (events: readonly LoggedEvent[], sequence: number): StateDescribed =>
  describeState(events.filter((logged) => logged.sequence <= sequence).reduce(evolve, initialState));
