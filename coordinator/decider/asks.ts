import type { FleetFacts } from '../../schemas/events.ts';
import { unmetNeeds } from '../../schemas/needs.ts';
import type { ReadPlan } from '../../schemas/plan.ts';
import type { Refusal } from '../../schemas/reasons.ts';
import type { Role } from '../../schemas/step-names.ts';
import { evidenceOf, type Iteration, type State } from './state.ts';
import { failedChecks } from './verdicts.ts';

/** The reason to refuse a start, as far as the log alone shows it. */
export const startFault = (
  state: State,
  name: string,
  { by, plan }: { by: string; plan: ReadPlan },
): Refusal | undefined => {
  const there = state.iterations.get(name) ?? state.ended.get(name);
  if (there) return { code: 'name-taken', by: there.startedBy, time: there.started.time };
  const { approvals, authorMayApprove } = plan.review;
  if (approvals.length === 0) return { code: 'nobody-reviews' };
  if (!authorMayApprove && approvals.every((person) => person === by)) return { code: 'only-approver', by };
  const { board } = plan;
  const busy = state.underWay.get(board);
  return busy === undefined ? undefined : { code: 'board-busy', board, iteration: busy };
};

/** The reason in the fleet's file why a plan can't be carried out: a host or a person is not what the plan expects. */
export const fleetFault = (plan: ReadPlan, { hosts, reviewers }: FleetFacts): Refusal | undefined => {
  const { builders, publisher, backup } = plan.hosts;
  const expected: [string, Role[]][] = [
    ...builders.map((host): [string, Role[]] => [host, ['builder']]),
    [publisher, ['publisher']],
    [backup, ['publisher', 'builder']],
    [plan.board, ['board']],
  ];
  for (const [host, roles] of expected) {
    const there = Object.hasOwn(hosts, host) ? hosts[host] : undefined;
    if (!there) return { code: 'host-unknown', host };
    if (!roles.includes(there.role)) return { code: 'host-role', host, role: there.role, expected: roles };
  }
  for (const person of plan.review.approvals) {
    const there = Object.hasOwn(reviewers, person) ? reviewers[person] : undefined;
    if (!there) return { code: 'person-unknown', person };
    if (!there.mayApprove) return { code: 'may-not-approve', person };
  }
  return undefined;
};

/** The reason why the people whom a plan asks are fewer than the fleet wants to approve it. */
const approversFault = (
  { review }: ReadPlan,
  by: string,
  { approvals, authorMayApprove }: FleetFacts,
): Refusal | undefined => {
  const authorCounts = authorMayApprove && review.authorMayApprove === true;
  const counted = new Set(review.approvals.filter((person) => authorCounts || person !== by));
  if (counted.size >= approvals) return undefined;
  return { code: 'too-few-approvers', by, authorCounts, approvers: [...counted], expected: approvals };
};

/**
 * The reason to refuse the oldest open start of this name, if there is one.
 * @param planAgrees whether the plan agrees with its text.
 */
export const startRefusal = (
  state: State,
  name: string,
  { fleet, planAgrees }: { fleet: FleetFacts; planAgrees: boolean },
): Refusal | undefined => {
  const asked = state.starts.get(name)?.open[0];
  if (!asked) return undefined;
  const needs = unmetNeeds(asked.needs);
  if (needs.length > 0) return { code: 'too-old', needs };
  if (!planAgrees) return { code: 'plan-differs' };
  return (
    startFault(state, name, asked) ??
    fleetFault(asked.plan, fleet) ??
    approversFault(asked.plan, asked.by, fleet)
  );
};

/** The reason why an iteration can't be retried, if there is one. */
export const retryFault = (state: State, iteration: Iteration): Refusal | undefined => {
  const { ended, plan } = iteration;
  if (!ended) return { code: 'under-way' };
  if (ended.status !== 'failed') return { code: 'has-ended', status: ended.status };
  const busy = state.underWay.get(plan.board);
  if (busy !== undefined) return { code: 'board-busy', board: plan.board, iteration: busy };
  if (iteration.attempts.rollback.length > 0) return { code: 'rolled-back', board: plan.board };
  // An approval is for one landing only.
  if (evidenceOf(iteration, 'land') && failedChecks(iteration).some(({ step }) => step === 'land'))
    return { code: 'landed-otherwise' };
  return undefined;
};
