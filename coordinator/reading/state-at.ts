import type { LoggedEvent } from '../../schemas/events.ts';
import { stepNames } from '../../schemas/step-names.ts';
import { evolve } from '../decider/evolve.ts';
import { reviewOf } from '../decider/graph.ts';
import {
  type Attempt,
  attemptsOf,
  type End,
  type Iteration,
  initialState,
  type State,
} from '../decider/state.ts';
import { verdictsOf } from '../decider/verdicts.ts';

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
