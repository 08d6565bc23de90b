import { type EventData, type IterationEventType, type NewEvent, stepEvent } from '../../schemas/events.ts';
import type { EndReason, SupersededReason } from '../../schemas/reasons.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { requestFor } from './requests.ts';
import { type Attempt, attemptsOf, type Iteration } from './state.ts';

export type DataOf<Type extends IterationEventType> = EventData[Type];

/** An event about an iteration, with data of its type's shape. */
export const iterationEvent = <Type extends IterationEventType>(
  iteration: string,
  type: Type,
  attempt: number,
  data: DataOf<Type>,
  causationid?: string,
): NewEvent => {
  const event = { type, iteration, attempt, data, ...(causationid === undefined ? {} : { causationid }) };
  return event as NewEvent; // the compiler does not follow a type parameter into a union
};

/** The next request of a step. Its attempts are numbered over all hosts. @param reason why a rollback is asked for. */
export const requestStep = (
  iteration: Iteration,
  step: StepName,
  host: string,
  reason?: EndReason,
): NewEvent => {
  const attempt = attemptsOf<StepName>(iteration, step).length + 1;
  const head = { iteration: iteration.name, attempt, host, causationid: iteration.last.eventId };
  return stepEvent(step, 'Requested', head, { host, request: requestFor(iteration, step, reason) });
};

/** @param again whether the same host is asked once more; the attempt then does not count as failed. */
export const supersede = (
  iteration: Iteration,
  step: StepName,
  { number, host }: Attempt,
  reason: SupersededReason,
  again = false,
): NewEvent => {
  const head = { iteration: iteration.name, attempt: number, host, causationid: iteration.last.eventId };
  return stepEvent(step, 'Superseded', head, { host, reason, ...(again ? { again } : {}) });
};
