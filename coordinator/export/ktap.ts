import type { Iteration } from '../decider/state.ts';
import { printable } from './printable.ts';
import { type SweepStep, type SweepTest, sweepResults } from './sweep-results.ts';

/** Escapes `#`, which would begin a directive. */
const description = (name: string): string => printable(name).replaceAll('#', '\\u{23}');

/** A diagnostic line begins with a name from the plan, so that it is never a line with a meaning, like `# Subtest:`. */
const diagnostic = (name: string, text: string): string[] =>
  text === '' ? [] : [`# ${printable(text.startsWith(name) ? text : `${name}: ${text}`)}`];

/** The lines of one test, its result line last. */
const test = ({ name, verdict, because, note = '', tests }: SweepTest, number: number): string[] => {
  const of = `${number} ${description(name)}`;
  const result = (): string[] => {
    switch (verdict) {
      case 'PASS':
        return [`ok ${of}`];
      case 'FAIL':
        return [...diagnostic(name, because), `not ok ${of}`];
      case 'ERROR':
        return [`not ok ${of} # ERROR ${printable(because)}`];
      case 'MISS':
        return [`not ok ${of} # ERROR MISS: ${printable(because)}`];
      case 'SKIP':
        return [`ok ${of} # SKIP ${printable(because)}`];
    }
  };
  return [...subtests(tests), ...diagnostic(name, note), ...result()];
};

const nested = (tests: readonly SweepTest[], about: readonly string[] = []): string[] => [
  'KTAP version 1',
  `1..${tests.length}`,
  ...about,
  ...tests.flatMap((one, index) => test(one, index + 1)),
];

const subtests = (tests: readonly SweepTest[]): string[] =>
  tests.length === 0 ? [] : nested(tests).map((line) => `  ${line}`);

/**
 * A sweep as KTAP version 1: sweep → row → its paths, and the comparisons of their bytes. KTAP has no word for a MISS.
 * It becomes `not ok … # ERROR MISS: …`, since readers take a SKIP for no fault; the reason of an ERROR never begins
 * with `MISS: `. Source: docs.kernel.org/dev-tools/ktap.html
 */
export const ktapOf = (iteration: Iteration, step: SweepStep = 'sweep'): string => {
  const { whole, attempt, swept } = sweepResults(iteration, step);
  const about = [
    ...diagnostic(
      step,
      `iteration ${iteration.name}, plan ${iteration.planSha256}, board ${iteration.plan.board}`,
    ),
    ...(attempt ? diagnostic(step, `attempt ${attempt.number} on ${attempt.host}`) : []),
    ...(swept ? diagnostic(step, `package ${swept.version}, ${swept.procVersion.trim()}`) : []),
  ];
  return `${nested([whole], about).join('\n')}\n`;
};
