import type { Cell } from '../../../schemas/steps.ts';
import { foldLog } from '../../commands/session.ts';
import type { Iteration } from '../../decider/state.ts';
import { sweptWith } from '../../testing/example-evidence.ts';
import { examplePlan } from '../../testing/example-plan.ts';
import { failed, historyOf, started, succeeded, timedOut, until } from '../../testing/history.ts';
import { readHistory } from '../../testing/recorded-history.ts';

const recorded = (name: string): Iteration => {
  const iteration = foldLog(readHistory(name).events).iterations.get(name);
  if (!iteration) throw new Error(`${name} has no iteration of its name`);
  return iteration;
};

const swept = historyOf(...until('sweep'), succeeded('sweep')).iteration();

/**
 * An iteration with a good sweep whose cells `change` has changed; a cell for which it returns undefined is removed.
 */
const sweptIteration = (change: (cell: Cell) => Cell | undefined): Iteration => {
  const sweep = swept.attempts.sweep.map((attempt) => {
    if (attempt.status !== 'succeeded') return attempt;
    const table = attempt.evidence.table.flatMap((cell) => change(cell) ?? []);
    return { ...attempt, evidence: { ...attempt.evidence, table } };
  });
  return { ...swept, attempts: { ...swept.attempts, sweep } };
};

const broken = (cell: Cell, error: string): Cell => ({
  ...cell,
  status: 'error',
  sha256: null,
  hashes: [],
  error,
});

/** h264 FAILs; mpeg2's software cell is missing, a MISS. */
const failAndMiss = sweptIteration((cell) => {
  if (cell.row === 'mpeg2') return cell.path === 'software' ? undefined : cell;
  return cell.path === 'software'
    ? { ...cell, sha256: 'a'.repeat(64), hashes: ['a'.repeat(64), 'a'.repeat(64)] }
    : cell;
});

/** An iteration in which one cell's program broke with this error. */
export const brokenWith = (error: string): Iteration =>
  sweptIteration((cell) => (cell.row === 'h264' && cell.path === 'libva' ? broken(cell, error) : cell));

const twoPathsOnly = examplePlan((plan) => {
  for (const row of plan.sweep.rows) row.expect = row.expect.slice(0, 1);
});

/** Iterations by the result of their sweep, recorded ones and made ones. */
export const iterations: Readonly<Record<string, Iteration>> = {
  closed: recorded('closed'),
  'rolled back': historyOf(...until('sweep'), failed('sweep'), succeeded('rollback')).iteration(),
  started: historyOf(started()).iteration(),
  'build failed': historyOf(
    ...until('build'),
    failed('build', { output: ['cc: \u001b[31merror\u001b[0m'] }),
  ).iteration(),
  'preflight conflicts': historyOf(
    started(),
    failed('preflight', { seen: { patches: [] }, output: ['does not apply'] }),
  ).iteration(),
  'not swept yet': historyOf(...until('sweep')).iteration(),
  'sweep broke': historyOf(
    ...until('sweep'),
    failed('sweep', { reason: 'MISS: no such fixture' }),
  ).iteration(),
  'sweep timed out': historyOf(...until('sweep'), timedOut('sweep')).iteration(),
  'fail and miss': failAndMiss,
  error: brokenWith('the decoder died'),
  'two paths compared': historyOf(
    started(twoPathsOnly),
    ...until('sweep').slice(1),
    succeeded('sweep'),
  ).iteration(),
  'another package': historyOf(
    ...until('sweep'),
    succeeded('sweep', (iteration) => sweptWith(iteration, '7.0-1')),
  ).iteration(),
};

/** Texts that a program on a board may print to imitate something else. */
export const hostileTexts = [
  '\u001b]0;title\u0007\u001b[2J',
  'x\nok 1 faked\nnot ok # SKIP',
  'x\r\n  KTAP version 1\r\n1..0',
  ']]></error><testcase name="faked"/>&amp;&#27;<!--',
  'nul \u0000 c1 \u009b31m turned \u202e end',
  'half \ud800 and \udc00 and \ufffe \uffff',
  '# SKIP # TODO # XFAIL',
  '\u2028\u2029\u0085\u000b\u000c',
];
