import { installedBefore } from '../../schemas/plan.ts';
import type { EndReason, GivenUpReason, RollbackFault, SupersededReason } from '../../schemas/reasons.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { forwardSteps, reviewOf } from './graph.ts';
import { type Attempt, attemptsOf, evidenceOf, type Iteration, lastAttempt } from './state.ts';
import { canBeTakenOver, countsAsFailed, lastRetry } from './step-hosts.ts';
import { type FailedCheck, failedChecks } from './verdicts.ts';

/** Why an iteration can't reach its close, and how it ends because of that. */
export interface Doom {
  ends: 'failed' | 'aborted';
  reason: EndReason;
}

/**
 * The longest text quoted in a reason, in characters. The iteration's end and a rollback's request repeat it, and each
 * has to fit into one event.
 */
const longestWords = 4000;
/** The part of a host's or a person's text that a reason carries. */
export const excerpt = (words: string): string => words.slice(0, longestWords);

interface Reason {
  sequence: number;
  reason: EndReason;
}

/** The landing made no commit to build. Waivers do not help: the build still has nothing to build. */
const nothingToBuild = (iteration: Iteration): Reason[] => {
  const landed = evidenceOf(iteration, 'land');
  const { repository } = iteration.plan.package;
  if (!landed || landed.evidence.commits.some((commit) => commit.repository === repository)) return [];
  return [{ sequence: landed.sequence, reason: { code: 'nothing-to-build', repository } }];
};

/** The board went back on its own: it no longer runs the kernel that is to be verified. */
const wentBack = ({ deadline, plan }: Iteration): Reason[] => {
  if (!deadline) return [];
  const { sequence, version, restored, because } = deadline;
  const says = excerpt(because);
  return [{ sequence, reason: { code: 'went-back', host: plan.board, version, restored, says } }];
};

/**
 * Why an attempt was given up. A supersession by an iteration's end, or with a code of a newer coordinator, has no such
 * reason and reads as overdue.
 */
const givenUp = (step: StepName, attempt: Attempt & { status: 'superseded' }): GivenUpReason => {
  const { reason, host } = attempt;
  switch (reason.code) {
    case 'step-overdue':
    case 'host-silent':
    case 'never-arrived':
      return reason as GivenUpReason;
    case 'iteration-ends':
    case 'key-revoked':
    case 'unknown':
      return { code: 'step-overdue', host, step, limitSeconds: 0 };
  }
};

const failedStep = (step: StepName, attempt: Attempt & { status: 'failed' | 'superseded' }): EndReason => {
  const { host, number } = attempt;
  const known = { step, host, attempt: number };
  if (attempt.status === 'superseded')
    return { code: 'step-given-up', ...known, reason: givenUp(step, attempt) };
  const { reason, code } = attempt.failure;
  return {
    code: 'step-failed',
    ...known,
    says: excerpt(reason),
    ...(code === undefined ? {} : { failure: code }),
  };
};

const failedCheck = ({ step, check, clause, verdict, faults }: FailedCheck): EndReason => ({
  code: 'check-failed',
  step,
  check,
  clause,
  verdict,
  faults,
});

/** Why the iteration can't reach its close any more; undefined if it can. */
export const doomOf = (iteration: Iteration): Doom | undefined => {
  if (iteration.abort) {
    const { by, why } = iteration.abort;
    return { ends: 'aborted', reason: { code: 'aborted', by, says: excerpt(why) } };
  }
  const rejected = reviewOf(iteration)?.rejected;
  if (rejected) {
    const { by, note } = rejected;
    return { ends: 'failed', reason: { code: 'rejected', by, says: excerpt(note) } };
  }
  const steps = forwardSteps.flatMap((step): Reason[] => {
    const attempt = lastAttempt<StepName>(iteration, step);
    return countsAsFailed(iteration, attempt) && !canBeTakenOver(iteration, step, attempt)
      ? [{ sequence: attempt.ended.sequence, reason: failedStep(step, attempt) }]
      : [];
  });
  const checks = failedChecks(iteration)
    .filter(({ sequence }) => sequence > lastRetry(iteration))
    .map((failed) => ({ sequence: failed.sequence, reason: failedCheck(failed) }));
  // The earliest event is the reason: attempts that were stopped because of it ended later.
  const [first] = [...steps, ...checks, ...nothingToBuild(iteration), ...wentBack(iteration)].sort(
    (a, b) => a.sequence - b.sequence,
  );
  return first && { ends: 'failed', reason: first.reason };
};

/** Whether the board may no longer be as it was before the iteration. */
export const boardTouched = (iteration: Iteration): boolean =>
  attemptsOf(iteration, 'install').some(
    (attempt) => !(attempt.status === 'failed' && attempt.failure.begun.length === 0),
  );

/**
 * Whether the board has to be put back. If the new kernel was swept and confirmed and only the record failed, the board
 * keeps it: a retry records it. After an abort the board is always put back.
 */
export const needsRollback = (iteration: Iteration, ends: Doom['ends']): boolean => {
  if (!boardTouched(iteration)) return false;
  const holds =
    evidenceOf(iteration, 'confirm') !== undefined &&
    failedChecks(iteration).every(({ step }) => step === 'record');
  return ends === 'aborted' || !holds;
};

/** Why the board is not as it was before the iteration; undefined once it is. */
export const rollbackFault = (iteration: Iteration): RollbackFault | undefined => {
  const before = installedBefore(iteration.plan);
  const rollback = lastAttempt(iteration, 'rollback');
  switch (rollback?.status) {
    case undefined:
      return { code: 'not-asked' };
    case 'open':
      return { code: 'not-done' };
    case 'failed':
      return { code: 'rollback-failed', says: excerpt(rollback.failure.reason) };
    case 'superseded':
      return { code: 'rollback-given-up', reason: rollback.reason as SupersededReason };
    case 'succeeded': {
      const { installed, rebooted } = rollback.evidence;
      if (installed.version !== before)
        return { code: 'other-version', found: installed.version, expected: before };
      if (!rebooted.after.procVersion.startsWith(rebooted.imageBanner))
        return { code: 'other-kernel', procVersion: rebooted.after.procVersion };
      return undefined;
    }
  }
};
