import { isDeepStrictEqual } from 'node:util';
import { formatAttemptOn } from '../../schemas/attempt-id.ts';
import { coordinator, isPerson, type KaEvent, type LoggedEvent, parseEvent } from '../../schemas/events.ts';
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
  /** What the log holds, and what today's code would write; null if nothing. */
  found: unknown;
  expected: unknown;
  why: string;
}

export interface ReplayChecked {
  events: number;
  /** How many of them were decided again. */
  decided: number;
  /** How many this version can't judge: a newer one has decided them. */
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

/** What the coordinator and people write about iterations, and the coordinator's checkpoints. */
const isOfTheirs = ({ source, kind, type }: KaEvent): boolean =>
  (source === coordinator || isPerson(source)) &&
  kind !== 'unknown' &&
  (kind !== 'fleet' || type === 'Checkpointed');

const isOwn = (event: KaEvent, state: State): boolean => {
  if (event.kind === 'fleet') return event.source === coordinator;
  return event.kind !== 'unknown' && maySay(event, state.iterations.get(event.iteration));
};

/** Compares an event with what the state before it makes of the commands that may be behind it. */
const compare = (logged: LoggedEvent, state: State): Mismatch | undefined => {
  const found = writtenFact(logged);
  const mismatch = (why: string, expected?: unknown) => mismatchOf(logged, why, expected);
  const decided = commandsBehind(logged.event).map((command) => decideFacts(command, state));
  const facts = decided.flatMap((one) => one.facts);
  // What people answered is what they had seen: after a log was cut, it may stand before that.
  const answered = isPerson(logged.event.source) ? { causationid: found.causationid } : {};
  // Of several events that one state asks for, any may be appended first.
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

/** Why an event is not what today's code would write, if so. What is no decision has to be its writer's to say, and no more. */
const judge = (logged: LoggedEvent, state: State): Mismatch | undefined => {
  const { event } = logged;
  if (!isOwn(event, state)) return mismatchOf(logged, `${event.source} has no such thing to say`);
  return isDecision(event) ? compare(logged, state) : undefined;
};

/** Whether the event is by a newer version in a way that this one can't judge: a reason that it does not know, or a rule. */
const isBeyondUs = ({ event }: LoggedEvent, state: State): boolean => {
  const iteration = state.iterations.get(event.iteration);
  return (iteration && rules.unknownIn(iteration).length > 0) || commandsBehind(event).length === 0;
};

/**
 * The outcomes whose attempts are given up after them, and that have put something aside: the coordinator gives up no attempt
 * whose outcome it can read, so what they have put aside came to the log's server later.
 */
const readTooLate = (events: readonly LoggedEvent[]): ReadonlySet<LoggedEvent> => {
  const outcomes = new Map<string, LoggedEvent>();
  const late = new Set<LoggedEvent>();
  for (const logged of events) {
    const { event, whole } = logged;
    if (event.kind !== 'step') continue;
    if (event.fact === 'Superseded') {
      const outcome = outcomes.get(formatAttemptOn(event, event.data.host));
      if (outcome) late.add(outcome);
    } else if (event.fact !== 'Requested' && whole !== undefined)
      outcomes.set(formatAttemptOn(event, event.source), logged);
  }
  return late;
};

/** The state without those outcomes: as the coordinator knew it then. It goes on so only with an iteration that a person has ended. */
const createKnownThen = (events: readonly LoggedEvent[]) => {
  const late = readTooLate(events);
  let state = initialState;
  return {
    /** Whether an event is what would be written of that state. */
    explains: (logged: LoggedEvent): boolean =>
      state.iterations.get(logged.event.iteration)?.abort !== undefined && !judge(logged, state),
    take(logged: LoggedEvent): void {
      if (late.size === 0) return;
      const known = late.has(logged) ? { ...logged, event: parseEvent(logged.bytes) } : logged;
      state = evolve(state, known);
    },
  };
};

/**
 * Folds a log again and decides again, from the state before it, every event that the coordinator wrote, and every word of a
 * person that counts at once. Of a time-out only its reason is taken over, since no clock is read; of an answer the facts of the
 * fleet's file. What people ask for, what hosts say, and types that this version does not know are folded alone. What the
 * coordinator could not read yet when an iteration was ended does not count for what it decided then.
 */
export const replayCheck = (events: readonly LoggedEvent[]): ReplayChecked => {
  let state = initialState;
  const knownThen = createKnownThen(events);
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
      if (mismatch && !knownThen.explains(logged)) mismatches.push(mismatch);
    }
    state = evolve(state, logged);
    knownThen.take(logged);
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
