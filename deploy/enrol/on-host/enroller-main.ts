import { createRun } from '../../../host/run.ts';
import { printableLines } from '../../../schemas/printable.ts';
import { apply } from './apply.ts';
import { Asked } from './asked.ts';
import { retire } from './retire.ts';
import { start } from './start.ts';
import { survey } from './survey.ts';

const say = (line: string) => void process.stderr.write(`${printableLines(line)}\n`);
/**
 * The part of enrolment that runs on a host. It is piped into `node -`, with the question as its first line, so that
 * nothing of it has to be installed before. It answers with one line of JSON, which holds `failed` on failure.
 */
const asked = Asked.parse(Reflect.get(globalThis, 'asked'));
const run = createRun(() => undefined);

const answer = async () => {
  switch (asked.do) {
    case 'survey':
      return survey(run, asked);
    case 'apply':
      return apply(run, asked, say);
    case 'start':
      return start(run, asked);
    case 'retire':
      return retire(run, asked, say);
  }
};

try {
  process.stdout.write(`${JSON.stringify(await answer())}\n`);
} catch (error) {
  process.stdout.write(
    `${JSON.stringify({ failed: error instanceof Error ? error.message : String(error) })}\n`,
  );
  process.exitCode = 1;
}
