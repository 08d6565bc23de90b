import { evidenceOf } from '../state.ts';
import { comparisonFaults, judgeSweep } from '../sweep-judgement.ts';
import { type CheckRule, ofEvidence } from './check-rule.ts';

export const sweepAsExpected: CheckRule<'sweep-as-expected'> = ofEvidence(
  'sweep',
  (evidence, { iteration: { plan }, host }) => {
    const { version, attestation } = evidence;
    const expected = plan.package.to;
    return [
      version !== expected && { code: 'version-differs', of: 'sweep', found: version, expected },
      !attestation && { code: 'not-attested', host, what: 'sweep' },
      ...judgeSweep(plan.sweep, evidence).rows.map(
        (judged) =>
          judged.verdict !== 'PASS' &&
          ({
            code: 'row-not-as-expected',
            row: judged.row,
            verdict: judged.verdict,
            comparisons: comparisonFaults(judged),
          } as const),
      ),
    ];
  },
);

export const noRegression: CheckRule<'no-regression'> = {
  step: 'sweep',
  judge: (_check, iteration) => {
    const [earlier, found] = [evidenceOf(iteration, 'presweep'), evidenceOf(iteration, 'sweep')];
    if (!earlier || !found) return undefined;
    const { sweep } = iteration.plan;
    const passed = (evidence: typeof found.evidence) =>
      judgeSweep(sweep, evidence).rows.flatMap(({ row, verdict }) => (verdict === 'PASS' ? [row] : []));
    const now = passed(found.evidence);
    return {
      events: [earlier.sequence, found.sequence],
      faults: passed(earlier.evidence).map(
        (row) => !now.includes(row) && ({ code: 'row-regressed', row } as const),
      ),
    };
  },
};
