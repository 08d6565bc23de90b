import type { CheckFault } from '../../../schemas/check-faults.ts';
import type { Check } from '../../../schemas/checks.ts';
import type { StepName } from '../../../schemas/step-names.ts';
import type { StepEvidence } from '../../../schemas/steps.ts';
import { evidenceOf, type Iteration } from '../state.ts';

export type CheckName = Check['check'];
export type CheckOf<Name extends CheckName> = Extract<Check, { check: Name }>;

/**
 * The faults found. `false` and `undefined` stand for a condition that holds; a list without faults means that
 * everything holds.
 */
export type Faults = (CheckFault | false | undefined)[];

/** What a check found, and the log's sequences on which that is based. */
export interface Judged {
  faults: Faults;
  events: number[];
}

/** How a check is answered: from which step's evidence, and by which function. */
export interface CheckRule<Name extends CheckName> {
  step: StepName | 'review';
  /** Returns undefined while there is nothing to judge yet. */
  judge: (check: CheckOf<Name>, iteration: Iteration) => Judged | undefined;
}

/** A check of one step's evidence. */
export const ofEvidence = <Name extends CheckName, Step extends StepName>(
  step: Step,
  faults: (
    evidence: StepEvidence<Step>,
    context: { check: CheckOf<Name>; iteration: Iteration; host: string },
  ) => Faults,
): CheckRule<Name> => ({
  step,
  judge: (check, iteration) => {
    const found = evidenceOf(iteration, step);
    if (!found) return undefined;
    const { evidence, host, sequence } = found;
    return { faults: faults(evidence, { check, iteration, host }), events: [sequence] };
  },
});

/** The wanted items that were not found. */
export const missing = (wanted: readonly string[], found: readonly string[]): string[] =>
  wanted.filter((one) => !found.includes(one));
