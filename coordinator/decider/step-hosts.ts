import type { StepName } from '../../schemas/step-names.ts';
import { steps } from '../../schemas/steps.ts';
import { forwardSteps } from './graph.ts';
import { type Attempt, attemptsOf, type Iteration } from './state.ts';

/** The sequence of the last retry: failures before it no longer count. */
export const lastRetry = (iteration: Iteration): number => iteration.retries.at(-1)?.sequence ?? 0;

/** Whether an attempt was superseded only to ask the same host again: nothing has failed. */
export const isAskedAgain = (attempt: Attempt): boolean => attempt.status === 'superseded' && attempt.again;

/** Whether an attempt failed or was given up after the last retry. */
export const countsAsFailed = (
  iteration: Iteration,
  attempt: Attempt | undefined,
): attempt is Attempt & { status: 'failed' | 'superseded' } =>
  attempt !== undefined &&
  (attempt.status === 'failed' || attempt.status === 'superseded') &&
  !isAskedAgain(attempt) &&
  attempt.ended.sequence > lastRetry(iteration);

const isHostsFault = (attempt: Attempt): boolean =>
  attempt.status === 'superseded' || (attempt.status === 'failed' && attempt.failure.fault === 'host');

/** The plan's builders that have not failed this iteration, in the plan's order. */
const buildersLeft = (iteration: Iteration): string[] => {
  const letDown = new Set(
    forwardSteps
      .filter((step) => steps[step].role === 'builder')
      .flatMap((step) => attemptsOf<StepName>(iteration, step))
      .filter((attempt) => countsAsFailed(iteration, attempt) && isHostsFault(attempt))
      .map(({ host }) => host),
  );
  return iteration.plan.hosts.builders.filter((host) => !letDown.has(host));
};

/** The host of which a step is asked; undefined if no builder is left. */
export const hostFor = (iteration: Iteration, step: StepName): string | undefined => {
  switch (steps[step].role) {
    case 'builder':
      return buildersLeft(iteration)[0];
    case 'publisher':
      return iteration.plan.hosts.publisher;
    case 'board':
      return iteration.plan.board;
  }
};

/** Whether another host may take over the step. */
export const canBeTakenOver = (iteration: Iteration, step: StepName, attempt: Attempt): boolean =>
  steps[step].role === 'builder' && isHostsFault(attempt) && hostFor(iteration, step) !== undefined;

/** The host that would take over an open attempt if its host failed. */
export const fallbackOf = (iteration: Iteration, step: StepName, attempt: Attempt): string | undefined =>
  steps[step].role === 'builder' ? buildersLeft(iteration).find((host) => host !== attempt.host) : undefined;
