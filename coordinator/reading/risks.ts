import type { Plan } from '../../schemas/plan.ts';
import { stepNames } from '../../schemas/step-names.ts';
import { endingWords } from '../decider/graph.ts';
import { type Attempt, evidenceOf, type Iteration } from '../decider/state.ts';
import { failedChecks } from '../decider/verdicts.ts';

type Sign = NonNullable<Plan['risks'][number]['seen']>;

const attemptsOf = (iteration: Iteration): Attempt[] =>
  stepNames.flatMap((step): Attempt[] => iteration.attempts[step]);

/** What in the log shows that a risk came up: a sentence, or undefined. */
const signs: { readonly [Name in Sign]: (iteration: Iteration) => string | undefined } = {
  conflict: ({ attempts }) =>
    attempts.preflight
      .flatMap((attempt) => (attempt.status === 'failed' ? [attempt.failure.reason] : []))
      .find((reason) => reason.includes('conflict')),
  'symbol-missing': ({ attempts }) =>
    attempts.preflight
      .flatMap((attempt) => (attempt.status === 'failed' ? [attempt.failure.reason] : []))
      .find((reason) => reason.includes('symbol')),
  'builder-replaced': (iteration) => {
    const [first] = iteration.plan.hosts.builders;
    const other = attemptsOf(iteration).find(
      ({ host }) => host !== first && iteration.plan.hosts.builders.includes(host),
    );
    return other && `${other.host} took over from ${first}`;
  },
  'wrong-signature': (iteration) =>
    failedChecks(iteration).find(({ step, because }) => step === 'publish' && because.includes('signed with'))
      ?.because,
  'lan-copy': (iteration) => {
    const staged = evidenceOf(iteration, 'stage')?.evidence.packages ?? [];
    const copied = staged.filter(({ transfers }) => transfers.some(({ path }) => path === 'lan'));
    return copied.length > 0 ? `${copied.map(({ file }) => file).join(', ')} came over the LAN` : undefined;
  },
  'sweep-failed': (iteration) => failedChecks(iteration).find(({ step }) => step === 'sweep')?.because,
  'step-timed-out': (iteration) => {
    const [late] = attemptsOf(iteration).flatMap((attempt) =>
      attempt.status === 'superseded' && !attempt.because.startsWith(endingWords) ? [attempt] : [],
    );
    return late && `${late.host}: ${late.because}`;
  },
  'initramfs-by-hand': (iteration) => {
    const initramfs = evidenceOf(iteration, 'install')?.evidence.initramfs;
    return initramfs && `the install step made ${initramfs.path} itself`;
  },
};

export interface RiskSeen {
  id: string;
  risk: string;
  answer: string;
  /** What showed that it came up; null if nothing did; undefined if the plan names no sign of it. */
  cameUp: string | null | undefined;
}

/** Every risk of the plan, and whether the log shows that it came up. */
export const risksOf = (iteration: Iteration): RiskSeen[] =>
  iteration.plan.risks.map(({ id, risk, answer, seen }) => ({
    id,
    risk,
    answer,
    cameUp: seen === undefined ? undefined : (signs[seen](iteration) ?? null),
  }));
