import { isDeepStrictEqual } from 'node:util';
import type { Approved, ApprovedTree } from '../../schemas/reviewed.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { attemptsOf, evidenceOf, type Iteration } from './state.ts';

/**
 * The steps that have to be done before a step is asked for. `review` is the gate. A rollback follows only from a
 * failure or an abort.
 */
const after = {
  preflight: [],
  keycheck: [],
  land: ['review', 'keycheck'],
  // An approval may be voided after the landing: these steps show it to their hosts as well.
  build: ['land', 'review'],
  publish: ['build', 'review'],
  presweep: ['review'],
  backup: ['review'],
  stage: ['publish'],
  install: ['stage', 'backup', 'presweep', 'review'],
  reboot: ['install'],
  sweep: ['reboot'],
  confirm: ['sweep'],
  record: ['sweep', 'confirm'],
} as const satisfies Record<
  Exclude<StepName, 'rollback'>,
  readonly (Exclude<StepName, 'rollback'> | 'review')[]
>;

export type ForwardStep = keyof typeof after;
/** The steps of an iteration from its start to its close. */
export const forwardSteps = Object.keys(after) as ForwardStep[];

/** The steps that hosts do nothing of without approvals. */
const onApproval = ['land', 'build', 'publish', 'install'] as const satisfies readonly ForwardStep[];

/**
 * Whether an approval is in use or was used. It is for one landing, and does not expire during that or afterwards. One that
 * is given after the landing, in the place of a voided one, is used by the next of these steps.
 */
const isUsed = (iteration: Iteration, { sequence }: { sequence: number }): boolean =>
  onApproval
    .flatMap((step) => attemptsOf<StepName>(iteration, step))
    .some(
      (attempt) =>
        (attempt.status === 'succeeded' || attempt.status === 'open') &&
        attempt.requested.sequence > sequence,
    );

/** The approvals that can still expire: nothing was landed on them yet. */
export const lastingApprovals = (iteration: Iteration): Iteration['approvals'] =>
  iteration.ended
    ? []
    : iteration.approvals.filter(
        (one) => one.expires !== undefined && !one.expired && !one.voided && !isUsed(iteration, one),
      );

/** The trees that people approve, as preflight found them; undefined before preflight succeeded. */
export const treesToApprove = (iteration: Iteration): ApprovedTree[] | undefined => {
  const preflight = evidenceOf(iteration, 'preflight');
  return (
    preflight && [
      { purpose: 'series', tree: preflight.evidence.tree },
      { purpose: 'packaging', tree: preflight.evidence.packagingTree },
      { purpose: 'prepared', tree: preflight.evidence.prepared.tree },
      { purpose: 'config', tree: preflight.evidence.prepared.config },
    ]
  );
};

/** The last approval or rejection of each person for this exact board, plan and trees that has not expired or been voided. */
const lastWordsOn = (
  iteration: Iteration,
  trees: readonly ApprovedTree[],
): Map<string, Iteration['approvals'][number]> =>
  new Map(
    iteration.approvals
      .filter(
        (word) =>
          word.board === iteration.plan.board &&
          word.planSha256 === iteration.planSha256 &&
          isDeepStrictEqual(word.trees, trees) &&
          word.expired !== true &&
          word.voided === undefined,
      )
      .map((word) => [word.by, word]),
  );

/** The approvals that count now. */
export const countedApprovals = (iteration: Iteration): Iteration['approvals'] =>
  [...lastWordsOn(iteration, treesToApprove(iteration) ?? []).values()].filter(({ approved }) => approved);

/** What was reviewed, with plan, start and the approvals on which the iteration is based, as people signed them. */
export const approvedIn = (iteration: Iteration): Approved => {
  const { plan, planSha256, planText, resolved, start } = iteration;
  const trees = treesToApprove(iteration) ?? [];
  const approvals = countedApprovals(iteration).flatMap(({ by, signed }) =>
    signed && plan.review.approvals.includes(by) ? [signed] : [],
  );
  return {
    ...{ board: plan.board, planSha256, trees, planText, approvals },
    patches: iteration.series.map(({ sha256 }) => sha256),
    ...(resolved && { resolved }),
    ...(start && { start }),
  };
};

/**
 * The state of the review. An approval counts only for this exact board and plan and for preflight's exact trees. Only
 * the last word of each person counts, and a rejection only if it came after the last retry.
 */
export const reviewOf = (
  iteration: Iteration,
):
  | { asked: boolean; missing: string[]; rejected: Iteration['approvals'][number] | undefined }
  | undefined => {
  const trees = treesToApprove(iteration);
  if (!trees) return undefined;
  const lastRetry = iteration.retries.at(-1)?.sequence ?? 0;
  const lastWords = lastWordsOn(iteration, trees);
  return {
    asked: iteration.reviews.some(
      (review) => isDeepStrictEqual(review.trees, trees) && review.planSha256 === iteration.planSha256,
    ),
    missing: iteration.plan.review.approvals.filter((person) => lastWords.get(person)?.approved !== true),
    rejected: [...lastWords.values()].find((word) => !word.approved && word.sequence > lastRetry),
  };
};

/**
 * Whether everything that a step waits for is done. `isDone` answers for a step; the review is done with its approvals.
 */
export const isReady = (
  iteration: Iteration,
  step: ForwardStep,
  isDone: (step: ForwardStep) => boolean,
): boolean =>
  after[step].every((needed) =>
    needed === 'review' ? isDone('preflight') && reviewOf(iteration)?.missing.length === 0 : isDone(needed),
  );
