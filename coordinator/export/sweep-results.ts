import type { Opened } from '../../schemas/open.ts';
import type { Cell, StepEvidence } from '../../schemas/steps.ts';
import { type Attempt, evidenceOf, type Iteration, lastAttempt } from '../decider/state.ts';
import {
  comparisonFaults,
  type EvidenceVerdict,
  gravest,
  judgeRows,
  type RowVerdict,
} from '../decider/sweep-judgement.ts';
import { answerCheck } from '../decider/verdicts.ts';
import { cellWords, comparisonWords, faultsWords } from '../reading/english/check-faults.ts';
import { supersededWords } from '../reading/english/reasons.ts';

/** The two sweeps of an iteration: of the kernel that ran before, and of the one under test. */
export type SweepStep = 'presweep' | 'sweep';

/** A test with the tests that it consists of: sweep → row → path or comparison. */
export interface SweepTest {
  name: string;
  /** SKIP only for a path that the plan compares with nothing. */
  verdict: EvidenceVerdict;
  /** Empty for a PASS. */
  because: string;
  /** Why the plan expects a difference here, in its own words. */
  note?: string;
  /** The sweep's cell that this test judges. */
  cell?: Opened<Cell>;
  tests: SweepTest[];
}

export interface SweepResults {
  /** The sweep as a whole. Its verdict is the gravest of its tests. */
  whole: SweepTest;
  /** The last attempt; absent if the sweep was never asked for. */
  attempt?: Attempt<SweepStep>;
  swept?: StepEvidence<SweepStep>;
  /** When it began, RFC 3339, by the board's clock; known only for a sweep that succeeded. */
  startTime?: string;
  seconds?: number;
}

/** The longest duration that is believed: a larger one from a host could make the start an invalid time. */
const longestSeconds = 366 * 86_400;

/** When a step began that ended at `time` and took `seconds`, by the clock of its host. */
export const startOf = ({ time, seconds }: { time: string; seconds: number }): string =>
  new Date(Date.parse(time) - Math.min(seconds, longestSeconds) * 1000).toISOString();

const rowTest = ({ plan }: Iteration, judged: RowVerdict): SweepTest => {
  const { row, verdict, paths, comparisons } = judged;
  const drift = plan.sweep.rows.find(({ name }) => name === row)?.because;
  const alone = plan.sweep.paths.filter(({ name }) => !paths.some(({ path }) => path === name));
  return {
    name: row,
    verdict,
    because: comparisonFaults(judged).map(comparisonWords).join('; '),
    tests: [
      ...paths.map(({ path, cell, seen, verdict: found }) => ({
        name: path,
        verdict: found,
        because: found === 'PASS' ? '' : `${path} ${cellWords(seen)}`,
        ...(cell ? { cell } : {}),
        tests: [],
      })),
      ...alone.map(({ name }) => ({
        name,
        verdict: 'SKIP' as const,
        because: 'the plan compares it with nothing here',
        tests: [],
      })),
      ...comparisons.map((comparison) => ({
        name: comparison.expectation,
        verdict: comparison.verdict,
        because: comparison.verdict === 'PASS' ? '' : comparisonWords(comparison),
        ...(drift !== undefined && comparison.expectation.includes(' != ') ? { note: drift } : {}),
        tests: [],
      })),
    ],
  };
};

/**
 * Tests for faults that no row shows: a sweep that broke, or one of another package. Their names hold a space, which no
 * row's name does.
 */
const besideRows = (iteration: Iteration, step: SweepStep, rows: readonly SweepTest[]): SweepTest[] => {
  const attempt = lastAttempt(iteration, step);
  const broke = (why: string): SweepTest[] => [
    { name: 'the attempt', verdict: 'ERROR', because: `${attempt?.host}: ${why}`, tests: [] },
  ];
  switch (attempt?.status) {
    case undefined:
    case 'open':
      return [];
    case 'failed':
      return broke(attempt.failure.reason);
    case 'superseded':
      return attempt.reason.code === 'iteration-ends' ? [] : broke(supersededWords(attempt.reason));
    case 'succeeded': {
      if (step === 'presweep' || rows.some(({ verdict }) => verdict !== 'PASS')) return [];
      const { verdict, faults } = answerCheck({ check: 'sweep-as-expected' }, iteration);
      if (verdict === 'PASS') return [];
      return [{ name: 'the package', verdict, because: faultsWords(faults), tests: [] }];
    }
  }
};

/**
 * The results of an iteration's sweep, judged as the plan expects. Without a table every row is a MISS. A presweep is
 * judged by the same expectations; that it fails them is no fault of the series.
 */
export const sweepResults = (iteration: Iteration, step: SweepStep): SweepResults => {
  const found = evidenceOf(iteration, step);
  const attempt = lastAttempt(iteration, step);
  const rows = judgeRows(iteration.plan.sweep, found?.evidence ?? { table: [] }).map((row) =>
    rowTest(iteration, row),
  );
  const tests = [...rows, ...besideRows(iteration, step, rows)];
  const verdict = gravest(tests.map((test) => (test.verdict === 'SKIP' ? 'PASS' : test.verdict)));
  const asExpected = rows.filter((row) => row.verdict === 'PASS').length;
  const because = found
    ? `${asExpected} of ${rows.length} rows are as expected`
    : `there is no evidence of ${step}`;
  return {
    whole: { name: step, verdict, because: verdict === 'PASS' ? '' : because, tests },
    ...(attempt ? { attempt } : {}),
    ...(found && attempt?.status === 'succeeded'
      ? {
          swept: found.evidence,
          seconds: found.seconds,
          startTime: startOf({ time: attempt.ended.time, seconds: found.seconds }),
        }
      : {}),
  };
};
