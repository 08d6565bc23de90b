import { installedBefore } from '../../schemas/plan.ts';
import { forwardSteps, reviewOf } from './graph.ts';
import { type Attempt, evidenceOf, type Iteration, lastAttempt } from './state.ts';
import { canBeTakenOver, countsAsFailed, lastRetry } from './step-hosts.ts';
import { failedChecks } from './verdicts.ts';

export interface Doom {
  ends: 'failed' | 'aborted';
  because: string;
}

/** It is said again, in the end and in a rollback's request, which have to fit into an event of their own. */
const longestReason = 20_000;

const reasonOf = (attempt: Attempt & { status: 'failed' | 'superseded' }): string =>
  attempt.status === 'failed' ? attempt.failure.reason : attempt.because;

/** Even a waiver of every clause about it leaves a build without a commit to build. */
const nothingToBuild = (iteration: Iteration): { sequence: number; because: string }[] => {
  const landed = evidenceOf(iteration, 'land');
  const { repository } = iteration.plan.package;
  if (!landed || landed.evidence.commits.some((commit) => commit.repository === repository)) return [];
  return [{ sequence: landed.sequence, because: `land: nothing was committed to ${repository}` }];
};

/** A board that went back on its own has not the kernel any more that is to be verified. */
const wentBack = ({ deadline, plan }: Iteration): { sequence: number; because: string }[] =>
  deadline
    ? [
        {
          sequence: deadline.sequence,
          because: deadline.restored
            ? `${plan.board} went back to ${deadline.version} on its own: ${deadline.because}`
            : `${plan.board} could not go back to ${deadline.version} on its own: ${deadline.because}`,
        },
      ]
    : [];

/** Why the iteration can't reach its close any more, if so. */
export const doomOf = (iteration: Iteration): Doom | undefined => {
  if (iteration.abort) {
    const { by, why } = iteration.abort;
    return { ends: 'aborted', because: `${by} aborted it${why ? `: ${why}` : ''}` };
  }
  const rejected = reviewOf(iteration)?.rejected;
  if (rejected) return { ends: 'failed', because: `review: ${rejected.by} rejected it: ${rejected.note}` };
  const steps = forwardSteps(iteration).flatMap((step) => {
    const attempt = lastAttempt(iteration, step) as Attempt | undefined;
    return countsAsFailed(iteration, attempt) && !canBeTakenOver(iteration, step, attempt)
      ? [{ sequence: attempt.ended.sequence, because: `${step} on ${attempt.host}: ${reasonOf(attempt)}` }]
      : [];
  });
  const checks = failedChecks(iteration)
    .filter(({ sequence }) => sequence > lastRetry(iteration))
    .map(({ step, because, sequence }) => ({ sequence, because: `${step}: ${because}` }));
  // The earliest is the reason: what was stopped on its account came later.
  const [first] = [...steps, ...checks, ...nothingToBuild(iteration), ...wentBack(iteration)].sort(
    (a, b) => a.sequence - b.sequence,
  );
  return first && { ends: 'failed', because: first.because.slice(0, longestReason) };
};

/** Whether the board may no longer be as it was before the iteration. */
export const boardTouched = (iteration: Iteration): boolean =>
  iteration.attempts.install.some(
    (attempt) => !(attempt.status === 'failed' && attempt.failure.begun.length === 0),
  );

/**
 * Whether the board has to be put back. A kernel that was swept and holds is kept where only the record of it
 * failed: a retry records it. Who aborts wants the board as it was.
 */
export const needsRollback = (iteration: Iteration, ends: Doom['ends']): boolean => {
  if (!boardTouched(iteration)) return false;
  const holds =
    evidenceOf(iteration, iteration.rules < 2 ? 'sweep' : 'confirm') !== undefined &&
    failedChecks(iteration).every(({ step }) => step === 'record');
  return ends === 'aborted' || !holds;
};

/** What keeps the board from being as it was before: a sentence, or undefined once it is. */
export const rollbackFault = (iteration: Iteration): string | undefined => {
  const before = installedBefore(iteration.plan);
  const rollback = lastAttempt(iteration, 'rollback');
  switch (rollback?.status) {
    case undefined:
      return 'not asked for';
    case 'open':
      return 'not done';
    case 'failed':
    case 'superseded':
      return reasonOf(rollback);
    case 'succeeded': {
      const { installed, rebooted } = rollback.evidence;
      if (installed.version !== before) return `${installed.version} is installed, not ${before}`;
      if (!rebooted.after.procVersion.startsWith(rebooted.imageBanner))
        return `it came back on ${rebooted.after.procVersion}`;
      return undefined;
    }
  }
};
