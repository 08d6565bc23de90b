import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';

/** A test, or what stands around tests, that failed; and what its errors said. */
export interface FailedTest {
  /** Where it stands: `test/faults/nats.test.ts:12`. */
  place: string;
  name: string;
  messages: readonly string[];
}

const linesOfEach = 6;
const charactersOfLine = 300;

const shortened = (message: string): string[] => {
  // Vitest shows a difference by colours.
  const lines = stripVTControlCharacters(message)
    .split('\n')
    .filter((line) => line.trim() !== '');
  const left = lines.length - linesOfEach;
  return [...lines.slice(0, linesOfEach), ...(left > 0 ? [`… ${left} more lines`] : [])].map((line) =>
    line.slice(0, charactersOfLine),
  );
};

/** What failed and why, in a few lines each: where only the last lines of an output are kept, the table alone says too little. */
export const faultFailures = (failed: readonly FailedTest[]): string =>
  failed
    .flatMap(({ place, name, messages }) => [
      pc.red(`failed: ${name} (${place})`),
      ...(messages.length === 0 ? ['it did not run'] : messages.flatMap(shortened)).map(
        (line) => `    ${line}`,
      ),
    ])
    .join('\n');
