import type { SignedEvent } from '../../schemas/signed-event.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { type Attempt, evidenceOf, type Iteration } from './state.ts';

/**
 * The rules that a new iteration is decided by. What is in the log was decided by the rules of its time, and is decided by
 * them to its end: 1 had neither keycheck nor confirm; 2 let who started it be its only approver, an approval last for ever,
 * and packages go without their attestation.
 */
export const currentRules = 3;

/** The steps that came with later rules than the first. */
const since: { readonly [Name in StepName]?: number } = { keycheck: 2, confirm: 2 };

/** What has to be done before a step is asked for. `review` is the gate. Rollback is asked for by a failure alone. */
const after: Record<Exclude<StepName, 'rollback'>, readonly (StepName | 'review')[]> = {
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
};

export type ForwardStep = keyof typeof after;
const allForwardSteps = Object.keys(after) as ForwardStep[];

const isOf = ({ rules }: Pick<Iteration, 'rules'>, step: StepName): boolean => (since[step] ?? 1) <= rules;

/** The steps of an iteration from its start to its close, by its rules. */
export const forwardSteps = (iteration: Pick<Iteration, 'rules'>): ForwardStep[] =>
  allForwardSteps.filter((step) => isOf(iteration, step));

/** How the reason begins of a supersession that no time-out made: the iteration ends, and what runs is stopped. */
export const endingWords = 'the iteration ends: ';

/** Whether an approval is being used, or has been: it is for one landing, and does not expire during that or afterwards. */
export const isUsed = (iteration: Iteration, { sequence }: { sequence: number }): boolean =>
  (iteration.attempts.land as Attempt[]).some(
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

/** The last word of each person on this very plan and tree that still counts. */
const lastWordsOn = (iteration: Iteration, tree: string): Map<string, Iteration['approvals'][number]> =>
  new Map(
    iteration.approvals
      .filter(
        (word) => word.planSha256 === iteration.planSha256 && word.tree === tree && word.expired !== true,
      )
      .map((word) => [word.by, word]),
  );

/** The approvals that the iteration rests on, as they were signed. */
export const signedApprovals = (iteration: Iteration, tree: string): SignedEvent[] =>
  [...lastWordsOn(iteration, tree).values()].flatMap(({ approved, by, signed }) =>
    approved && signed && iteration.plan.review.approvals.includes(by) ? [signed] : [],
  );

/**
 * Where the review stands. An approval counts only for this very plan and preflight's very tree. The last word of
 * each person counts, since the last retry.
 */
export const reviewOf = (
  iteration: Iteration,
):
  | { asked: boolean; missing: string[]; rejected: Iteration['approvals'][number] | undefined }
  | undefined => {
  const preflight = evidenceOf(iteration, 'preflight');
  if (!preflight) return undefined;
  const { tree } = preflight.evidence;
  const lastRetry = iteration.retries.at(-1)?.sequence ?? 0;
  const lastWords = lastWordsOn(iteration, tree);
  return {
    asked: iteration.reviews.some(
      (review) => review.tree === tree && review.planSha256 === iteration.planSha256,
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
  after[step].every((needed) => {
    if (needed === 'review') return isDone('preflight') && reviewOf(iteration)?.missing.length === 0;
    return !isOf(iteration, needed) || isDone(needed as ForwardStep);
  });
