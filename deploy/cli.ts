import { Command, CommanderError } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { styledLines } from '../schemas/printable.ts';
import { addCommands } from './commands/all.ts';

const badUse = 2;

const program = new Command('ka')
  .description('Carries a kernel iteration from a patch series to a verified board, and proves it.')
  .version(packageJson.version, '-V, --version', 'print the version')
  .exitOverride()
  .configureOutput({
    writeOut: (text) => void process.stdout.write(styledLines(text)),
    writeErr: (text) => void process.stderr.write(styledLines(text)),
  })
  .showHelpAfterError('(see: ka help)')
  .addHelpText(
    'after',
    '\nExit codes: 0 done, 1 the iteration or check failed, 2 bad use or bad input.\n`ka test` runs all checks and tests, `ka test faults` makes every fault happen, `ka test attacks` makes the attacks, `ka test simulation` plays them in virtual time, `ka test fuzz` feeds hostile input, `ka test benchmarks` measures what has to stay fast, `ka test histories` records the histories that tests replay, `ka test linux` and `ka test lab` build and boot real kernels.',
  );

// A reader that closes its end early, as in `ka log | head`, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const run = async (): Promise<void> => {
  await addCommands(program, process.argv.slice(2));
  for (const command of program.commands)
    for (const each of [command, ...command.commands]) each.exitOverride();
  await program.parseAsync();
};

// No top-level `await`: `ka` starts a bundled script, whose compiled code V8 can keep.
run().catch(async (error: unknown) => {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : badUse;
    return;
  }
  const { tellError } = await import('./tell-error.ts');
  tellError(error);
});
