import type { Plan } from '../../schemas/plan.ts';
import { stepNames } from '../../schemas/step-names.ts';
import type { FailureCode } from '../../schemas/steps.ts';
import { type Attempt, attemptsOf, evidenceOf, type Iteration } from '../decider/state.ts';
import { type FailedCheck, failedChecks } from '../decider/verdicts.ts';
import { faultsWords } from './english/check-faults.ts';
import { supersededWords } from './english/reasons.ts';

type Sign = NonNullable<Plan['risks'][number]['seen']>;

const allAttempts = (iteration: Iteration): Attempt[] =>
  stepNames.flatMap((step): readonly Attempt[] => attemptsOf<typeof step>(iteration, step));

/** The reason of a preflight that failed with this code, if there is one. */
const preflightFailed = (iteration: Iteration, code: FailureCode): string | undefined =>
  attemptsOf(iteration, 'preflight').flatMap((attempt) =>
    attempt.status === 'failed' && attempt.failure.code === code ? [attempt.failure.reason] : [],
  )[0];

const checkWords = (failed: FailedCheck | undefined): string | undefined =>
  failed && `${failed.clause ?? failed.check}: ${faultsWords(failed.faults)}`;

/** The sign in the log that a risk came up, as a sentence; undefined if there is none. */
const signs: { readonly [Name in Sign]: (iteration: Iteration) => string | undefined } = {
  conflict: (iteration) => preflightFailed(iteration, 'conflict'),
  'symbol-missing': (iteration) => preflightFailed(iteration, 'symbol-missing'),
  'builder-replaced': (iteration) => {
    const [first] = iteration.plan.hosts.builders;
    const other = allAttempts(iteration).find(
      ({ host }) => host !== first && iteration.plan.hosts.builders.includes(host),
    );
    return other && `${other.host} took over from ${first}`;
  },
  'wrong-signature': (iteration) =>
    checkWords(
      failedChecks(iteration).find(
        ({ step, faults }) => step === 'publish' && faults.some(({ code }) => code === 'key-differs'),
      ),
    ),
  'lan-copy': (iteration) => {
    const staged = evidenceOf(iteration, 'stage')?.evidence.packages ?? [];
    const copied = staged.filter(({ transfers }) => transfers.some(({ path }) => path === 'lan'));
    return copied.length > 0 ? `${copied.map(({ file }) => file).join(', ')} came over the LAN` : undefined;
  },
  'sweep-failed': (iteration) => checkWords(failedChecks(iteration).find(({ step }) => step === 'sweep')),
  'step-timed-out': (iteration) => {
    const [late] = allAttempts(iteration).flatMap((attempt) =>
      attempt.status === 'superseded' && attempt.reason.code !== 'iteration-ends' ? [attempt] : [],
    );
    return late && `${late.host}: ${supersededWords(late.reason)}`;
  },
  'initramfs-by-hand': (iteration) => {
    const initramfs = evidenceOf(iteration, 'install')?.evidence.initramfs;
    return initramfs && `the install step made ${initramfs.path} itself`;
  },
};

const isKnown = (sign: string): sign is Sign => Object.hasOwn(signs, sign);

export interface RiskSeen {
  id: string;
  risk: string;
  answer: string;
  /** The sign that it came up; null if there was none; undefined if the plan names no sign that this version knows. */
  cameUp: string | null | undefined;
}

/** Every risk of the plan, and whether the log shows that it came up. */
export const risksOf = (iteration: Iteration): RiskSeen[] =>
  iteration.plan.risks.map(({ id, risk, answer, seen }) => {
    const cameUp = seen !== undefined && isKnown(seen) ? (signs[seen](iteration) ?? null) : undefined;
    return { id, risk, answer, cameUp };
  });
