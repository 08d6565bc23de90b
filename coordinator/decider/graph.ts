import { isDeepStrictEqual } from 'node:util';
import type { ApprovedTree } from '../../schemas/events.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { attemptsOf, evidenceOf, type Iteration } from './state.ts';

/** What has to be done before a step is asked for. `review` is the gate. Rollback is asked for by a failure alone. */
const after = {
  preflight: [],
  keycheck: [],
  land: ['review', 'keycheck'],
  build: ['land'],
  publish: ['build'],
  presweep: ['review'],
  backup: ['review'],
  stage: ['publish'],
  install: ['stage', 'backup', 'presweep'],
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

/** Whether an approval is being used, or has been: it is for one landing, and does not expire during that or afterwards. */
export const isUsed = (iteration: Iteration, { sequence }: { sequence: number }): boolean =>
  attemptsOf(iteration, 'land').some(
    (attempt) =>
      (attempt.status === 'succeeded' || attempt.status === 'open') && attempt.requested.sequence > sequence,
  );

/** Approvals that nothing was landed on yet, and that end some time. */
export const lastingApprovals = (iteration: Iteration): Iteration['approvals'] =>
  iteration.ended
    ? []
    : iteration.approvals.filter(
        (one) => one.expires !== undefined && !one.expired && !isUsed(iteration, one),
      );

/** The trees that people approve, as preflight has found them; undefined before. */
export const treesToApprove = (iteration: Iteration): ApprovedTree[] | undefined => {
  const preflight = evidenceOf(iteration, 'preflight');
  return preflight && [{ purpose: 'series', tree: preflight.evidence.tree }];
};

/** The last word of each person on this very board, plan and trees that still counts. */
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
          word.expired !== true,
      )
      .map((word) => [word.by, word]),
  );

/** The approvals that the iteration rests on, as they were signed. */
export const signedApprovals = (iteration: Iteration): SignedEvent[] =>
  [...lastWordsOn(iteration, treesToApprove(iteration) ?? []).values()].flatMap(({ approved, by, signed }) =>
    approved && signed && iteration.plan.review.approvals.includes(by) ? [signed] : [],
  );

/**
 * Where the review stands. An approval counts only for this very board and plan, and preflight's very trees. The last word of
 * each person counts, since the last retry.
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

/** Whether everything that a step waits for is done: `isDone` says it of a step, the approvals of the review. */
export const isReady = (
  iteration: Iteration,
  step: ForwardStep,
  isDone: (step: ForwardStep) => boolean,
): boolean =>
  after[step].every((needed) =>
    needed === 'review' ? isDone('preflight') && reviewOf(iteration)?.missing.length === 0 : isDone(needed),
  );
