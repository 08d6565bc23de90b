import type { NewEvent } from '../../schemas/events.ts';
import type { Refusal } from '../../schemas/reasons.ts';
import { reviewOf, treesToApprove } from './graph.ts';
import { iterationEvent } from './new-events.ts';
import { RefusedByDecider } from './refusal.ts';
import { evidenceOf, type Iteration, lastAttempt, type State } from './state.ts';

const refuse = (iteration: string, reason: Refusal) => new RefusedByDecider(iteration, reason);

/** @throws {RefusedByDecider} if no iteration has that name. */
export const knownIteration = (state: State, name: string): Iteration => {
  const iteration = state.iterations.get(name);
  if (!iteration)
    throw refuse(name, { code: 'no-such-iteration', names: [...state.iterations.keys()].slice(-20) });
  return iteration;
};

const openIteration = (state: State, name: string): Iteration => {
  const iteration = knownIteration(state, name);
  if (iteration.ended) throw refuse(name, { code: 'has-ended', status: iteration.ended.status });
  return iteration;
};

/** A person's approval or rejection of what preflight showed. */
export interface Word {
  iteration: string;
  by: string;
  note: string;
}

/** @throws {RefusedByDecider} */
export const review = (
  state: State,
  { iteration: name, by, note }: Word,
  approved: { until: string } | false,
): NewEvent[] => {
  const iteration = openIteration(state, name);
  const trees = treesToApprove(iteration);
  if (!trees) throw refuse(name, { code: 'nothing-to-review' });
  const { board, review: asked } = iteration.plan;
  if (!asked.approvals.includes(by))
    throw refuse(name, { code: 'not-asked-to-review', by, approvals: asked.approvals });
  // A partly restored log may hold the landing without its approval. Then the approval can still be given.
  const landing = evidenceOf(iteration, 'land') || lastAttempt(iteration, 'land')?.status === 'open';
  if (landing && reviewOf(iteration)?.missing.length === 0) throw refuse(name, { code: 'past-review' });
  const count = iteration.approvals.filter((word) => word.approved === (approved !== false)).length + 1;
  const data = { by, note, board, planSha256: iteration.planSha256, trees };
  const { eventId } = iteration.last;
  return [
    approved
      ? iterationEvent(name, 'ReviewApproved', count, { ...data, expires: approved.until }, eventId)
      : iterationEvent(name, 'ReviewRejected', count, data, eventId),
  ];
};

/** @throws {RefusedByDecider} */
export const abort = (
  state: State,
  { iteration: name, by, why }: { iteration: string; by: string; why: string },
): NewEvent[] => {
  const iteration = openIteration(state, name);
  if (iteration.abort) throw refuse(name, { code: 'being-aborted', by: iteration.abort.by });
  return [iterationEvent(name, 'AbortAsked', 1, { by, why }, iteration.last.eventId)];
};

/** @throws {RefusedByDecider} */
export const waive = (
  state: State,
  { iteration: name, clause, by, why }: { iteration: string; clause: string; by: string; why: string },
): NewEvent[] => {
  const iteration = knownIteration(state, name);
  const { ended, plan, waivers, attempts } = iteration;
  if (ended && ended.status !== 'failed')
    throw refuse(name, { code: 'nothing-to-waive', status: ended.status });
  // A waiver would let the iteration close on a kernel that the board no longer has.
  if (attempts.rollback.length > 0) throw refuse(name, { code: 'rolled-back', board: plan.board });
  const clauses = plan.clauses.map(({ id }) => id);
  if (!clauses.includes(clause)) throw refuse(name, { code: 'no-such-clause', clause, clauses });
  const before = waivers.find((waiver) => waiver.clause === clause);
  if (before) throw refuse(name, { code: 'waived-already', clause, by: before.by });
  const data = { clause, why, by };
  return [iterationEvent(name, 'ClauseWaived', waivers.length + 1, data, iteration.last.eventId)];
};
