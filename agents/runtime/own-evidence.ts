import { parseEvent, stepEventType } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import type { Journal } from './journal/journal.ts';

/** Makes the function by which a step reads what this host itself has shown before, in one iteration. */
export const createOwnEvidence =
  ({ outbox, blobs }: Pick<Journal, 'outbox' | 'blobs'>, iteration: string) =>
  <Name extends StepName>(step: Name): StepEvidence<Name>[] =>
    outbox.ofType(iteration, stepEventType(step, 'Succeeded')).flatMap(({ bytes }) => {
      const event = parseEvent(bytes, blobs.get);
      return event.kind === 'step' && event.fact === 'Succeeded'
        ? [event.data.evidence as StepEvidence<Name>]
        : [];
    });
