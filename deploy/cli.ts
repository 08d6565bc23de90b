import { Command, CommanderError } from 'commander';
import { addExportCommand } from '../coordinator/commands/export-command.ts';
import { addFleetCommands } from '../coordinator/commands/fleet-commands.ts';
import { addIterationCommands } from '../coordinator/commands/iteration-commands.ts';
import { addKeyCommands } from '../coordinator/commands/key-commands.ts';
import { addLogCommands } from '../coordinator/commands/log-commands.ts';
import type { ConfigPlaces } from '../coordinator/commands/options.ts';
import { addPlanCommands } from '../coordinator/commands/plan-commands.ts';
import { addProofCommands } from '../coordinator/commands/proof-commands.ts';
import { ArchiveFault } from '../coordinator/export/ustar.ts';
import { PlanFaults } from '../coordinator/plan/plan-file.ts';
import { Refused } from '../coordinator/refused.ts';
import { ConfigFault } from '../eventlog/files/config-file.ts';
import { printableLines, styledLines } from '../schemas/printable.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addEnrolCommands } from './commands/enrol.ts';
import { addLabCommands } from './commands/lab.ts';
import { addMakeLogCommand } from './commands/make-log.ts';
import { addNatsConfigCommand } from './commands/nats-config.ts';
import { addSandboxCommands } from './commands/sandbox-commands.ts';
import { sandboxRestoreSources } from './local-fleet/restore-sources.ts';
import { defaultSandboxFolder, installedConfig } from './places/default-folders.ts';
import { sandboxPlaces } from './places/sandbox-places.ts';

const places: ConfigPlaces = {
  // What somebody has installed is their fleet; a sandbox that once ran here is not.
  candidates: [installedConfig, sandboxPlaces(defaultSandboxFolder()).operatorConfig],
};

const badInput = 2;

/** What a person sees of an error: one sentence, and the exit code that says whose it is. */
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

const program = new Command('ka')
  .description('Carries a kernel iteration from a patch series to a verified board, and proves it.')
  .exitOverride()
  .configureOutput({
    writeOut: (text) => void process.stdout.write(styledLines(text)),
    writeErr: (text) => void process.stderr.write(styledLines(text)),
  })
  .showHelpAfterError('(see: ka help)')
  .addHelpText(
    'after',
    '\nExit codes: 0 done, 1 the iteration or check failed, 2 bad use or bad input.\n`ka test` runs all checks and tests, `ka test faults` makes every fault happen, `ka test simulation` plays them in virtual time, `ka test fuzz` feeds hostile input, `ka test linux` and `ka test lab` build and boot real kernels.',
  );
addPlanCommands(program, places);
addIterationCommands(program, places);
addLogCommands(program, places, sandboxRestoreSources);
addProofCommands(program, places);
addExportCommand(program, places);
addFleetCommands(program, places);
addNatsConfigCommand(program, places);
addMakeLogCommand(program, places);
addKeyCommands(program, places);
addEnrolCommands(program, places);
addSandboxCommands(program);
addDemoCommand(program);
addLabCommands(program);
addDoctorCommand(program, places);
for (const command of program.commands)
  for (const each of [command, ...command.commands]) each.exitOverride();

// A reader that closes its end early, as `ka log | head` does, wants no more: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : badInput;
  } else {
    const { text, exitCode } = explain(error);
    process.stderr.write(`${printableLines(text)}\n`);
    process.exitCode = exitCode;
  }
}
