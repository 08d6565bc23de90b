import { ArchiveFault } from '../coordinator/export/ustar.ts';
import { PlanFaults } from '../coordinator/plan/plan-file.ts';
import { Refused } from '../coordinator/refused.ts';
import { ConfigFault } from '../eventlog/files/config-file.ts';
import { printableLines } from '../schemas/printable.ts';

const badInput = 2;

/** How an error is shown: one sentence, and an exit code that distinguishes bad input from failure. */
const explain = (error: unknown): { text: string; exitCode: number } => {
  if (error instanceof PlanFaults || error instanceof ConfigFault)
    return { text: error.message, exitCode: badInput };
  if (error instanceof ArchiveFault) return { text: `ka: ${error.message}`, exitCode: badInput };
  if (error instanceof Refused) return { text: `ka: ${error.message}`, exitCode: badInput };
  const said = error instanceof Error ? error.message : String(error);
  const text =
    error instanceof Error && error.name === 'NatsError'
      ? `ka: the event log does not answer as it should (${said}); see: ka doctor`
      : `ka: ${said}`;
  const stack = process.env.KA_DEBUG && error instanceof Error ? `\n${error.stack}` : '';
  return { text: `${text}${stack}`, exitCode: 1 };
};

/** Prints what went wrong to standard error, and sets the exit code. */
export const tellError = (error: unknown): void => {
  const { text, exitCode } = explain(error);
  process.stderr.write(`${printableLines(text)}\n`);
  process.exitCode = exitCode;
};
