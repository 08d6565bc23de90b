import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';

/** A failed test, or a failed set-up or tear-down of tests, with its error messages. */
export interface FailedTest {
  /** Its place: `test/faults/nats.test.ts:12`. */
  place: string;
  name: string;
  messages: readonly string[];
}

const linesOfEach = 6;
const charactersOfLine = 300;

const shortened = (message: string): string[] => {
  // Vitest marks differences with colours.
  const lines = stripVTControlCharacters(message)
    .split('\n')
    .filter((line) => line.trim() !== '');
  const left = lines.length - linesOfEach;
  return [...lines.slice(0, linesOfEach), ...(left > 0 ? [`… ${left} more lines`] : [])].map((line) =>
    line.slice(0, charactersOfLine),
  );
};

/**
 * Each failure and its reason in a few lines: if only the last lines of an output are kept, the table alone is not
 * enough.
 */
export const failedTests = (failed: readonly FailedTest[]): string =>
  failed
    .flatMap(({ place, name, messages }) => [
      pc.red(`failed: ${name} (${place})`),
      ...(messages.length === 0 ? ['it did not run'] : messages.flatMap(shortened)).map(
        (line) => `    ${line}`,
      ),
    ])
    .join('\n');
