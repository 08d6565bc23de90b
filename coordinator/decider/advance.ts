import type { NewEvent } from '../../schemas/events.ts';
import { installedBefore } from '../../schemas/plan.ts';
import type { RollbackFault, Stranded } from '../../schemas/reasons.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { retryFault } from './asks.ts';
import { type Doom, doomOf, needsRollback, rollbackFault } from './doom.ts';
import { type ForwardStep, forwardSteps, isReady, reviewOf, treesToApprove } from './graph.ts';
import { iterationEvent, requestStep, supersede } from './new-events.ts';
import { revocationsIn } from './revocations.ts';
import { rules } from './rules.ts';
import { evidenceOf, type Iteration, lastAttempt, lostBoard, openAttemptsOf, type State } from './state.ts';
import { hostFor, isAskedAgain } from './step-hosts.ts';
import { boundFaults, failedChecks, verdictsOf } from './verdicts.ts';

/**
 * The part of the fleet's state on which an iteration's next step depends. It is looked up here and not folded into
 * each iteration.
 */
type FleetView = Pick<State, 'hosts'>;

const rollbackTries = 2;

const rollbacksTried = (iteration: Iteration): number =>
  iteration.attempts.rollback.filter((attempt) => !isAskedAgain(attempt)).length;

/** What a person has to know to restore, by hand, a board that could not be put back. */
const strandedBoard = (iteration: Iteration, isLost: boolean, fault: RollbackFault): Stranded => {
  const { board, hosts } = iteration.plan;
  const held = evidenceOf(iteration, 'backup')?.evidence;
  return {
    host: board,
    isLost,
    rollbacks: rollbacksTried(iteration),
    fault,
    version: installedBefore(iteration.plan),
    backup: held ? { file: held.archive.file, host: hosts.backup, place: held.place } : null,
  };
};

/** The next events of an iteration that can't close any more: stop what runs, put the board back, end. */
const advanceToEnd = (iteration: Iteration, fleet: FleetView, { ends, reason }: Doom): NewEvent[] => {
  const { name, plan, last } = iteration;
  const isLost = lostBoard(iteration, fleet) !== undefined;
  const open = openAttemptsOf(iteration);
  // A board in the middle of an install, a reboot or a rollback may finish: stopping it there would leave half a
  // system. A lost board is not waited for: a person ended this iteration.
  const unstoppable = (step: StepName) =>
    !isLost && (step === 'install' || step === 'reboot' || step === 'rollback');
  const stop = open
    .filter(({ step }) => !unstoppable(step))
    .map(({ step, attempt }) => supersede(iteration, step, attempt, { code: 'iteration-ends', reason }));
  if (stop.length > 0) return stop;
  if (open.length > 0) return [];

  const fault = rollbackFault(iteration);
  const isStranded = needsRollback(iteration, ends) && fault !== undefined;
  if (isStranded && !isLost && rollbacksTried(iteration) < rollbackTries)
    return [requestStep(iteration, 'rollback', plan.board, reason)];
  const ended = {
    reason,
    boardRolledBack: fault === undefined,
    ...(isStranded ? { stranded: strandedBoard(iteration, isLost, fault) } : {}),
  };
  return [
    ends === 'aborted'
      ? iterationEvent(name, 'IterationAborted', 1, ended, last.eventId)
      : iterationEvent(
          name,
          'IterationFailed',
          iteration.failures + 1,
          { ...ended, goBack: plan.goBack },
          last.eventId,
        ),
  ];
};

/** Every step is done: the iteration closes, or ends because clauses are not proved. */
const close = (iteration: Iteration, fleet: FleetView): NewEvent[] => {
  const verdicts = verdictsOf(iteration);
  const unproved = verdicts
    .filter(({ verdict }) => verdict !== 'PASS' && verdict !== 'WAIVED')
    .map(({ id, verdict, faults }) => ({ clause: id, verdict, faults: boundFaults(faults) }));
  if (unproved.length > 0)
    return advanceToEnd(iteration, fleet, {
      ends: 'failed',
      reason: { code: 'unproved', clauses: unproved },
    });
  const clauses = verdicts.map(({ id, verdict, events }) => ({ id, verdict, events }));
  return [iterationEvent(iteration.name, 'IterationClosed', 1, { clauses }, iteration.last.eventId)];
};

const askForReview = (iteration: Iteration): NewEvent[] => {
  const { name, plan, planSha256, reviews, last } = iteration;
  const trees = treesToApprove(iteration);
  if (!trees || reviewOf(iteration)?.asked || plan.review.approvals.length === 0) return [];
  const data = { approvals: plan.review.approvals, board: plan.board, planSha256, trees };
  return [iterationEvent(name, 'ReviewRequested', reviews.length + 1, data, last.eventId)];
};

/** The coordinator's answer to a person's retry. */
const answerRetry = (iteration: Iteration, state: State): NewEvent[] => {
  const { name, retryAsked } = iteration;
  if (!retryAsked) return [];
  const { number, eventId } = retryAsked;
  const reason = retryFault(state, iteration);
  return [
    reason
      ? iterationEvent(name, 'RetryRefused', number, { reason }, eventId)
      : iterationEvent(name, 'RetryAccepted', number, {}, eventId),
  ];
};

/** Whether what preflight saw is no longer what would land: it is then asked for again, and so is the review. */
const hasMoved = (iteration: Iteration): boolean => {
  const landing = lastAttempt(iteration, 'land');
  return (
    landing?.status === 'failed' &&
    landing.failure.code === 'moved' &&
    landing.ended.sequence > (evidenceOf(iteration, 'preflight')?.sequence ?? 0)
  );
};

/** The next events of an iteration. One that was accepted under unknown rules is left alone. */
export const advance = (iteration: Iteration, state: State): NewEvent[] => {
  if (rules.unknownIn(iteration).length > 0) return [];
  if (iteration.retryAsked) return answerRetry(iteration, state);
  if (iteration.ended) return [];
  const doom = doomOf(iteration);
  if (doom) return advanceToEnd(iteration, state, doom);
  const voided = revocationsIn(iteration, state);
  if (voided.length > 0) return voided;
  // After a retry, a step whose evidence fails a check is asked for again, and no later step may use that evidence.
  const wanting = new Set<StepName>(failedChecks(iteration).map(({ step }) => step));
  if (hasMoved(iteration)) wanting.add('preflight');
  const isDone = (step: ForwardStep) => evidenceOf(iteration, step) !== undefined && !wanting.has(step);
  const events = isDone('preflight') ? askForReview(iteration) : [];
  for (const step of forwardSteps) {
    if (isDone(step) || lastAttempt<StepName>(iteration, step)?.status === 'open') continue;
    if (!isReady(iteration, step, isDone)) continue;
    const host = hostFor(iteration, step);
    if (host !== undefined) events.push(requestStep(iteration, step, host));
  }
  return forwardSteps.every(isDone) ? [...events, ...close(iteration, state)] : events;
};
