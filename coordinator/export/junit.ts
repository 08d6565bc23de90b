import { create } from 'xmlbuilder2';
import type { Iteration } from '../decider/state.ts';
import { printable } from './printable.ts';
import { type SweepStep, type SweepTest, sweepResults } from './sweep-results.ts';

/** A test without tests in it, and the row that it belongs to, if any. */
interface Leaf extends SweepTest {
  row: string | undefined;
}

const leavesOf = (whole: SweepTest): Leaf[] =>
  whole.tests.flatMap((test): Leaf[] =>
    test.tests.length === 0
      ? [{ ...test, row: undefined }]
      : test.tests.map((leaf) => ({ ...leaf, row: test.name })),
  );

const outcomeElement = { FAIL: 'failure', ERROR: 'error', MISS: 'error', SKIP: 'skipped' } as const;

/**
 * Attributes without those that have no value, and without characters that are harmful in XML or on a terminal. The
 * library leaves an `&` alone if the text after it makes it look like an entity, so a board's text could become one.
 * Therefore every `&` is escaped here.
 */
const attributes = (values: Record<string, string | number | undefined>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, printable(String(value)).replaceAll('&', '&amp;')]],
    ),
  );

/**
 * A sweep as JUnit XML, in the dialect of Jenkins' junit-10.xsd: one suite, a case for each path and each comparison of
 * each row. FAIL is a `failure`; ERROR and MISS are `error`s of that `type`, since Jenkins, like most readers, does not
 * count `skipped` as a fault. KTAP's levels are in `classname`: iteration, sweep, row.
 */
export const junitOf = (iteration: Iteration, step: SweepStep = 'sweep'): string => {
  const { whole, attempt, swept, startTime, seconds } = sweepResults(iteration, step);
  const leaves = leavesOf(whole);
  const count = (...verdicts: SweepTest['verdict'][]): number =>
    leaves.filter(({ verdict }) => verdicts.includes(verdict)).length;
  const counts = { tests: leaves.length, failures: count('FAIL'), errors: count('ERROR', 'MISS') };
  const document = create({ version: '1.0', encoding: 'UTF-8' });
  const suite = document.ele('testsuites', attributes({ name: iteration.name, ...counts })).ele(
    'testsuite',
    attributes({
      name: step,
      ...counts,
      skipped: count('SKIP'),
      time: seconds?.toFixed(3),
      timestamp: startTime,
      hostname: attempt?.host ?? iteration.plan.board,
    }),
  );
  const properties = suite.ele('properties');
  const known = {
    iteration: iteration.name,
    plan: iteration.planSha256,
    verdict: whole.verdict,
    misses: count('MISS'),
    attempt: attempt?.number,
    package: swept?.version,
    release: swept?.release,
    procVersion: swept?.procVersion.trim(),
  };
  for (const [name, value] of Object.entries(known))
    if (value !== undefined) properties.ele('property', attributes({ name, value }));
  for (const { name, row, verdict, because } of leaves) {
    const classname = [iteration.name, step, ...(row === undefined ? [] : [row])].join('.');
    const testcase = suite.ele('testcase', attributes({ name, classname }));
    if (verdict !== 'PASS')
      testcase.ele(outcomeElement[verdict], attributes({ type: verdict, message: because }));
  }
  return `${document.end({ prettyPrint: true })}\n`;
};
