import type { z } from 'zod';
import {
  type fleetEvents,
  type IterationEventType,
  iterationEvents,
  type NewEvent,
  noIteration,
  stepEventType,
} from '../../schemas/events.ts';
import { installedBefore } from '../../schemas/plan.ts';
import { type StepName, stepNames } from '../../schemas/step-names.ts';
import { checkpointDue } from '../daemon/checkpoints.ts';
import { type Doom, doomOf, needsRollback, rollbackFault } from './doom.ts';
import { endingWords, type ForwardStep, forwardSteps, isReady, lastingApprovals, reviewOf } from './graph.ts';
import { requestFor } from './requests.ts';
import { type Attempt, evidenceOf, type Iteration, lastAttempt, type State } from './state.ts';
import { hostFor, isAskedAgain } from './step-hosts.ts';
import { failedChecks, verdictsOf } from './verdicts.ts';

type Data<Type extends IterationEventType> = z.output<(typeof iterationEvents)[Type]>;

/** What people, and the coordinator itself, want to happen. Time enters as `TimeOut` and `Expire` alone. */
export type Command =
  | { do: 'Start'; iteration: string; data: Data<'IterationStarted'> }
  | { do: 'Advance' }
  | { do: 'TimeOut'; iteration: string; step: StepName; attempt: number; because: string }
  /** The host has never heard of the attempt and takes it no more: it is asked of it anew. */
  | { do: 'AskAgain'; iteration: string; step: StepName; attempt: number; because: string }
  /** A board that was changed is silent past the step's limit. */
  | { do: 'Lose'; iteration: string; step: StepName; attempt: number; because: string }
  /** A host is told what the log holds. Its hashes are not decided: whoever checks the log makes them again. */
  | ({ do: 'Checkpoint' } & z.output<(typeof fleetEvents)['Checkpointed']>)
  /** An approval has lasted as long as it was to, and nothing was landed on it. */
  | { do: 'Expire'; iteration: string; approval: number }
  | {
      do: 'Approve';
      iteration: string;
      by: string;
      note: string;
      approved: boolean;
      expires?: string | undefined;
    }
  | { do: 'Retry'; iteration: string; by: string }
  | { do: 'Abort'; iteration: string; by: string; why: string }
  | { do: 'Waive'; iteration: string; clause: string; by: string; why: string };

/** What a person asked for can't be done as things are. The message says why, and what can be. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

const iterationEvent = <Type extends IterationEventType>(
  iteration: string,
  type: Type,
  attempt: number,
  data: Data<Type>,
  causationid?: string,
): NewEvent => ({
  type,
  iteration,
  attempt,
  data: iterationEvents[type].parse(data),
  ...(causationid === undefined ? {} : { causationid }),
});

const rollbackTries = 2;

const requestStep = (iteration: Iteration, step: StepName, host: string, because?: string): NewEvent => {
  const attempt = iteration.attempts[step].length + 1;
  return {
    type: stepEventType(step, 'Requested'),
    iteration: iteration.name,
    attempt,
    host,
    causationid: iteration.last.eventId,
    data: { host, request: requestFor(iteration, step, because) },
  };
};

const supersede = (
  iteration: Iteration,
  step: StepName,
  attempt: Attempt,
  because: string,
  again = false,
): NewEvent => ({
  type: stepEventType(step, 'Superseded'),
  iteration: iteration.name,
  attempt: attempt.number,
  host: attempt.host,
  causationid: iteration.last.eventId,
  data: { host: attempt.host, because, ...(again ? { again } : {}) },
});

/** What a person has to know, and to do by hand, of a board that could not be put back. */
const stranding = (iteration: Iteration, fault: string): string => {
  const { board, hosts } = iteration.plan;
  const before = installedBefore(iteration.plan);
  const held = evidenceOf(iteration, 'backup')?.evidence;
  const archive = held ? `${held.archive.file}, also on ${hosts.backup} in ${held.place}` : 'none';
  const what = iteration.lost
    ? `${board} is lost and was not put back`
    : `the rollback failed ${rollbackTries} times (${fault})`;
  return `${what}: ${board} needs a person. By hand: unpack its backup of ${before} (${archive}) over its root, install the packages in it with pacman -U, sync, reboot`;
};

/** What an iteration that can't close any more still has to do: stop what runs, put the board back, end. */
const advanceToEnd = (iteration: Iteration, { ends, because }: Doom): NewEvent[] => {
  const { name, plan, last } = iteration;
  const open = stepNames.flatMap((step) =>
    (iteration.attempts[step] as Attempt[])
      .filter((attempt) => attempt.status === 'open')
      .map((attempt) => ({ step, attempt })),
  );
  // A board in the middle of an install or a reboot is let finish: to stop it there would leave half a system. One that is
  // lost is not waited for: it was a person who ended this.
  const unstoppable = (step: StepName) =>
    !iteration.lost && (step === 'install' || step === 'reboot' || step === 'rollback');
  const stop = open
    .filter(({ step }) => !unstoppable(step))
    .map(({ step, attempt }) => supersede(iteration, step, attempt, `${endingWords}${because}`));
  if (stop.length > 0) return stop;
  if (open.length > 0) return [];

  const fault = rollbackFault(iteration);
  const rolledBack = fault === undefined;
  const stranded = needsRollback(iteration, ends) && !rolledBack;
  const tries = iteration.attempts.rollback.filter((attempt) => !isAskedAgain(attempt)).length;
  if (stranded && !iteration.lost && tries < rollbackTries)
    return [requestStep(iteration, 'rollback', plan.board, because)];
  const told = stranded ? `${because}; ${stranding(iteration, fault)}` : because;
  return [
    ends === 'aborted'
      ? iterationEvent(
          name,
          'IterationAborted',
          1,
          { because: told, boardRolledBack: rolledBack },
          last.eventId,
        )
      : iterationEvent(
          name,
          'IterationFailed',
          iteration.failures + 1,
          { because: told, boardRolledBack: rolledBack, goBack: plan.goBack },
          last.eventId,
        ),
  ];
};

/** The next events of an iteration that is under way. */
const advance = (iteration: Iteration): NewEvent[] => {
  if (iteration.ended) return [];
  const doom = doomOf(iteration);
  if (doom) return advanceToEnd(iteration, doom);
  const { name, plan, last } = iteration;
  const events: NewEvent[] = [];
  // Evidence that a retry has found wanting is asked for again, and nothing is built on it.
  const wanting = new Set(failedChecks(iteration).map(({ step }) => step));
  const isDone = (step: ForwardStep) => evidenceOf(iteration, step) !== undefined && !wanting.has(step);

  const preflight = evidenceOf(iteration, 'preflight');
  const review = reviewOf(iteration);
  if (preflight && isDone('preflight') && !review?.asked && plan.review.approvals.length > 0)
    events.push(
      iterationEvent(
        name,
        'ReviewRequested',
        iteration.reviews.length + 1,
        { approvals: plan.review.approvals, planSha256: iteration.planSha256, tree: preflight.evidence.tree },
        last.eventId,
      ),
    );
  for (const step of forwardSteps(iteration)) {
    if (isDone(step) || lastAttempt(iteration, step)?.status === 'open') continue;
    if (!isReady(iteration, step, isDone)) continue;
    const host = hostFor(iteration, step);
    if (host !== undefined) events.push(requestStep(iteration, step, host));
  }
  if (forwardSteps(iteration).every(isDone)) {
    const verdicts = verdictsOf(iteration);
    const unproved = verdicts.filter(({ verdict }) => verdict !== 'PASS' && verdict !== 'WAIVED');
    if (unproved.length > 0)
      return advanceToEnd(iteration, {
        ends: 'failed',
        because: unproved.map(({ id, verdict, because }) => `${id} ${verdict}: ${because}`).join('; '),
      });
    events.push(
      iterationEvent(
        name,
        'IterationClosed',
        1,
        { clauses: verdicts.map(({ id, verdict, events: seen }) => ({ id, verdict, events: seen })) },
        last.eventId,
      ),
    );
  }
  return events;
};

/** The iteration that works on a board now. */
const underWayOn = (state: State, board: string): Iteration | undefined =>
  [...state.iterations.values()].find((one) => !one.ended && one.plan.board === board);

const known = (state: State, name: string): Iteration => {
  const iteration = state.iterations.get(name);
  if (!iteration) {
    const names = [...state.iterations.keys()].join(', ') || 'none';
    throw new Refused(`there is no iteration "${name}"; the log holds: ${names}`);
  }
  return iteration;
};

const open = (state: State, name: string): Iteration => {
  const iteration = known(state, name);
  if (iteration.ended)
    throw new Refused(`${name} has ${iteration.ended.status} already: ${iteration.ended.because}`);
  return iteration;
};

/**
 * The events that a command makes of a state. Pure: the same command on the same state gives the same events.
 * Of several, append the first, fold it, and decide again.
 * @throws {Refused} if what a person asked for can't be done.
 */
export const decide = (command: Command, state: State): NewEvent[] => {
  switch (command.do) {
    case 'Start': {
      const there = state.iterations.get(command.iteration);
      if (there)
        throw new Refused(
          `iteration "${command.iteration}" exists already, started ${there.started.time} by ${there.startedBy}; give the plan another name`,
        );
      const { board } = command.data.plan;
      const busy = underWayOn(state, board);
      if (busy)
        throw new Refused(
          `${busy.name} is under way on ${board}, and one board takes one iteration at a time: wait for its end, or ka abort ${busy.name}`,
        );
      const { by, plan, rules = 1 } = command.data;
      const { approvals, authorMayApprove } = plan.review;
      if (rules >= 3 && approvals.length === 0)
        throw new Refused(
          `the plan of ${command.iteration} asks for nobody's review, and no host publishes or installs what nobody has approved: name somebody in review.approvals`,
        );
      if (rules >= 3 && !authorMayApprove && approvals.every((person) => person === by))
        throw new Refused(
          `${by} starts ${command.iteration} and would be its only approver: let the plan ask somebody else, or say review.authorMayApprove: true`,
        );
      return [iterationEvent(command.iteration, 'IterationStarted', 1, command.data)];
    }
    case 'Advance':
      return [...state.iterations.values()].flatMap(advance);
    case 'TimeOut':
    case 'AskAgain':
    case 'Lose': {
      const iteration = known(state, command.iteration);
      const { step, because } = command;
      const attempt = (iteration.attempts[step] as Attempt[]).find(
        ({ number }) => number === command.attempt,
      );
      if (iteration.ended || attempt?.status !== 'open') return [];
      if (command.do !== 'Lose')
        return [supersede(iteration, step, attempt, because, command.do === 'AskAgain')];
      if (iteration.lost) return [];
      const { host, number } = attempt;
      const seen = state.hosts.get(host);
      const lastSeen = seen ? { bootId: seen.bootId, release: seen.release, package: seen.package } : null;
      const data = { host, step, attempt: number, because, lastSeen };
      return [
        iterationEvent(iteration.name, 'BoardLost', iteration.losses + 1, data, iteration.last.eventId),
      ];
    }
    case 'Approve': {
      const iteration = open(state, command.iteration);
      const preflight = evidenceOf(iteration, 'preflight');
      if (!preflight)
        throw new Refused(
          `${iteration.name} has no preflight yet: there is nothing to review; see: ka status`,
        );
      const { by, note } = command;
      if (!iteration.plan.review.approvals.includes(by))
        throw new Refused(
          `the plan of ${iteration.name} does not ask for the review of "${by}"; it asks for ${iteration.plan.review.approvals.join(', ') || 'nobody'}`,
        );
      // A log that was restored in part may hold the landing and not the approval, and then waits for it.
      const landing = evidenceOf(iteration, 'land') || lastAttempt(iteration, 'land')?.status === 'open';
      if (landing && reviewOf(iteration)?.missing.length === 0)
        throw new Refused(`${iteration.name} is past its review: the series has been asked to land`);
      const { expires } = command;
      const lasting = command.approved && expires !== undefined ? { expires } : {};
      const data = { by, note, planSha256: iteration.planSha256, tree: preflight.evidence.tree, ...lasting };
      const type = command.approved ? 'ReviewApproved' : 'ReviewRejected';
      const count = iteration.approvals.filter(({ approved }) => approved === command.approved).length;
      return [iterationEvent(iteration.name, type, count + 1, data, iteration.last.eventId)];
    }
    case 'Checkpoint': {
      const { do: _do, ...data } = command;
      if (data.size !== state.sequence || !checkpointDue(state).includes(data.host)) return [];
      const told = [...state.checkpoints.values()].map(({ number }) => number);
      const attempt = Math.max(0, ...told) + 1;
      return [{ type: 'Checkpointed', iteration: noIteration, attempt, host: data.host, data }];
    }
    case 'Expire': {
      const iteration = known(state, command.iteration);
      const approval = lastingApprovals(iteration).find(({ sequence }) => sequence === command.approval);
      if (!approval?.expires) return [];
      const { by, expires, sequence } = approval;
      return [
        iterationEvent(
          iteration.name,
          'ApprovalExpired',
          sequence,
          { by, approval: sequence, expires },
          iteration.last.eventId,
        ),
      ];
    }
    case 'Retry': {
      const iteration = known(state, command.iteration);
      if (iteration.ended?.status !== 'failed')
        throw new Refused(
          `${iteration.name} ${iteration.ended ? `has ${iteration.ended.status}` : 'is under way'}: only a failed iteration can be retried`,
        );
      const { board } = iteration.plan;
      const busy = underWayOn(state, board);
      if (busy) throw new Refused(`${busy.name} is under way on ${board} meanwhile: wait for its end`);
      if (iteration.attempts.rollback.length > 0)
        throw new Refused(
          `${iteration.name} was rolled back on ${iteration.plan.board}: start a new iteration with a new pkgrel`,
        );
      // An approval is for one landing.
      if (
        iteration.rules >= 3 &&
        evidenceOf(iteration, 'land') &&
        failedChecks(iteration).some(({ step }) => step === 'land')
      )
        throw new Refused(
          `what ${iteration.name} has landed is not what was to be landed, and to land again takes another review: start a new iteration`,
        );
      const { by } = command;
      return [
        iterationEvent(
          iteration.name,
          'RetryAsked',
          iteration.retries.length + 1,
          { by },
          iteration.last.eventId,
        ),
      ];
    }
    case 'Abort': {
      const iteration = open(state, command.iteration);
      if (iteration.abort) throw new Refused(`${iteration.name} is being aborted already`);
      const { by, why } = command;
      return [iterationEvent(iteration.name, 'AbortAsked', 1, { by, why }, iteration.last.eventId)];
    }
    case 'Waive': {
      const iteration = known(state, command.iteration);
      if (iteration.ended && iteration.ended.status !== 'failed')
        throw new Refused(
          `${iteration.name} has ${iteration.ended.status} already: nothing can be waived any more`,
        );
      if (iteration.attempts.rollback.length > 0)
        throw new Refused(
          `${iteration.name} is rolled back on ${iteration.plan.board}: a waiver would close it on a kernel that is gone; start a new iteration`,
        );
      const { clause, by, why } = command;
      const ids = iteration.plan.clauses.map(({ id }) => id);
      if (!ids.includes(clause))
        throw new Refused(
          `the plan of ${iteration.name} has no clause "${clause}"; it has ${ids.join(', ')}`,
        );
      if (iteration.waivers.some((waiver) => waiver.clause === clause))
        throw new Refused(`${clause} of ${iteration.name} is waived already`);
      const data = { clause, why, by };
      return [
        iterationEvent(
          iteration.name,
          'ClauseWaived',
          iteration.waivers.length + 1,
          data,
          iteration.last.eventId,
        ),
      ];
    }
  }
};
