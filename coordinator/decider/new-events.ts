import type { z } from 'zod';
import {
  type IterationEventType,
  type iterationEvents,
  type NewEvent,
  stepEventType,
} from '../../schemas/events.ts';
import type { EndReason, SupersededReason } from '../../schemas/reasons.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { requestFor } from './requests.ts';
import { type Attempt, attemptsOf, type Iteration } from './state.ts';

export type DataOf<Type extends IterationEventType> = z.output<(typeof iterationEvents)[Type]>;

/** An event about an iteration, with data of its type's shape. */
export const iterationEvent = <Type extends IterationEventType>(
  iteration: string,
  type: Type,
  attempt: number,
  data: DataOf<Type>,
  causationid?: string,
): NewEvent => ({
  type,
  iteration,
  attempt,
  data,
  ...(causationid === undefined ? {} : { causationid }),
});

/** The next request of a step. Its attempts are numbered over all hosts. @param reason why a rollback is asked for. */
export const requestStep = (
  iteration: Iteration,
  step: StepName,
  host: string,
  reason?: EndReason,
): NewEvent => ({
  type: stepEventType(step, 'Requested'),
  iteration: iteration.name,
  attempt: attemptsOf<StepName>(iteration, step).length + 1,
  host,
  causationid: iteration.last.eventId,
  data: { host, request: requestFor(iteration, step, reason) },
});

/** @param again whether it is asked of the same host once more, and nobody let anybody down. */
export const supersede = (
  iteration: Iteration,
  step: StepName,
  { number, host }: Attempt,
  reason: SupersededReason,
  again = false,
): NewEvent => ({
  type: stepEventType(step, 'Superseded'),
  iteration: iteration.name,
  attempt: number,
  host,
  causationid: iteration.last.eventId,
  data: { host, reason, ...(again ? { again } : {}) },
});
