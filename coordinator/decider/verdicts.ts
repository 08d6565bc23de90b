import type { CheckFault, Verdict } from '../../schemas/check-faults.ts';
import type { ReadPlan } from '../../schemas/plan.ts';
import type { StepName } from '../../schemas/step-names.ts';
import type { CheckName, Judged } from './checks/check-rule.ts';
import { checks, ownChecks } from './checks/checks.ts';
import type { Iteration } from './state.ts';
import { type EvidenceVerdict, gravest } from './sweep-judgement.ts';

type ReadCheck = ReadPlan['clauses'][number]['proof'][number];

/** A check's answer. `events` are the log's sequences on which it is based. */
export interface Answer {
  verdict: Verdict;
  faults: CheckFault[];
  events: number[];
}

interface CheckAnswer extends Answer {
  verdict: EvidenceVerdict;
  /** There is nothing to judge yet, which is no failure. */
  isPending: boolean;
}

/**
 * A fault's own verdict: absent evidence is a MISS; a row of the sweep has its own verdict, ERROR if the harness broke.
 */
const verdictOfFault = (fault: CheckFault): EvidenceVerdict => {
  switch (fault.code) {
    case 'no-evidence':
    case 'check-unknown':
    case 'no-mirror':
    case 'outcome-unknown':
      return 'MISS';
    case 'row-not-as-expected':
      return fault.verdict === 'WAIVED' ? 'FAIL' : fault.verdict;
    default:
      return 'FAIL';
  }
};

const pending = (fault: CheckFault): CheckAnswer => ({
  verdict: 'MISS',
  faults: [fault],
  events: [],
  isPending: true,
});

const judge = (check: Exclude<ReadCheck, { check: 'unknown' }>, iteration: Iteration): Judged | undefined =>
  // Each rule takes the check of its own name; the type of a lookup can't express that.
  (checks[check.check].judge as (one: typeof check, of: Iteration) => Judged | undefined)(check, iteration);

/**
 * Answers one check from the iteration's evidence. A check without evidence is a MISS, and so is a check that this
 * version does not know.
 */
export const answerCheck = (check: ReadCheck, iteration: Iteration): CheckAnswer => {
  if (check.check === 'unknown') return pending({ code: 'check-unknown', check: check.named });
  const found = judge(check, iteration);
  if (!found) return pending({ code: 'no-evidence', step: checks[check.check].step });
  const faults = found.faults.filter((fault) => typeof fault === 'object');
  const verdict = faults.length === 0 ? 'PASS' : gravest(faults.map(verdictOfFault));
  return { verdict, faults, events: found.events, isPending: false };
};

const nameOf = (check: ReadCheck): string => (check.check === 'unknown' ? check.named : check.check);

/** The faults of one check that an event carries: only the first of them. */
export const boundFaults = (faults: readonly CheckFault[]): CheckFault[] => faults.slice(0, 20);

export interface ClauseVerdict extends Answer {
  id: string;
  says: string;
  /** Who waived the clause, and why. */
  waiver?: { by: string; why: string };
  checks: (Answer & { check: string; step: string })[];
}

/**
 * Every clause of the plan with its verdict: the gravest of its checks, or WAIVED if that is no PASS and a person
 * waived it.
 */
export const verdictsOf = (iteration: Iteration): ClauseVerdict[] =>
  iteration.plan.clauses.map(({ id, says, proof }) => {
    const answers = proof.map((check) => {
      const { isPending: _pending, ...answer } = answerCheck(check, iteration);
      const step = check.check === 'unknown' ? 'unknown' : checks[check.check].step;
      return { ...answer, check: nameOf(check), step };
    });
    const waiver = iteration.waivers.find(({ clause }) => clause === id);
    const events = [...new Set(answers.flatMap((answer) => answer.events))].sort((a, b) => a - b);
    const verdict = gravest(answers.map((answer) => answer.verdict));
    const faults = answers.find((answer) => answer.verdict === verdict)?.faults ?? [];
    if (verdict === 'PASS' || !waiver) return { id, says, checks: answers, verdict, faults, events };
    const { by, why, sequence } = waiver;
    return {
      ...{ id, says, checks: answers, faults },
      verdict: 'WAIVED',
      waiver: { by, why },
      events: [...events, sequence],
    };
  });

/** A check that its evidence fails. */
export interface FailedCheck extends Pick<Answer, 'verdict' | 'faults'> {
  step: StepName;
  check: CheckName;
  /** The clause that the check belongs to; null if there is none. */
  clause: string | null;
  /** The sequence of the last event on which the answer is based. */
  sequence: number;
}

/**
 * The checks that an iteration's evidence fails. A check whose clause was waived does not count, and neither does one
 * without evidence.
 */
export const failedChecks = (iteration: Iteration): FailedCheck[] => {
  const waived = new Set(iteration.waivers.map(({ clause }) => clause));
  const ofClauses = iteration.plan.clauses.flatMap(({ id, proof }) =>
    proof.map((check) => ({ check, clause: id as string | null, isWaived: waived.has(id) })),
  );
  const bound = new Set(ofClauses.map(({ check }) => check.check));
  const own = Object.values(ownChecks)
    .filter((check) => !bound.has(check))
    .map((check) => ({ check: { check } as ReadCheck, clause: null, isWaived: false }));
  return [...ofClauses, ...own].flatMap(({ check, clause, isWaived }): FailedCheck[] => {
    if (isWaived || check.check === 'unknown') return [];
    const { step } = checks[check.check];
    if (step === 'review') return [];
    const { verdict, faults, events, isPending } = answerCheck(check, iteration);
    if (isPending || verdict === 'PASS') return [];
    const sequence = events.at(-1) ?? 0;
    return [{ step, check: check.check, clause, verdict, faults: boundFaults(faults), sequence }];
  });
};
