import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Complete } from '@bomb.sh/tab';
import tab from '@bomb.sh/tab/commander';
import type { Command } from 'commander';
import { stepNames } from '../../schemas/step-names.ts';
import { checkout } from '../checkout.ts';

/** Completes the word under the cursor, which the shell passes last, to files and folders. */
const completeFiles = (complete: Complete): void => {
  const word = (process.argv.at(-1) ?? '').replace(/^--[^=]*=/, '');
  const folder = word.endsWith('/') ? word : dirname(word);
  const typed = word.slice(0, word.lastIndexOf('/') + 1);
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      complete(`${typed}${entry.name}${entry.isDirectory() ? '/' : ''}`, '');
  } catch {
    // No such folder: nothing completes.
  }
};

const completeSteps = (complete: Complete): void => {
  for (const step of stepNames) complete(step, '');
};

/** The completion of an argument by its name, for every command. */
const byArgument = new Map([
  ['plan', completeFiles],
  ['file', completeFiles],
  ['step', completeSteps],
]);

/** A path as one word of bash, zsh and fish. */
const quoted = (path: string): string =>
  /^[\w/.+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;

/**
 * Adds `ka completion`, which prints a shell's completion script, and the hidden `ka complete`, which that script asks.
 * @param program already has all other commands.
 */
export const addCompletionCommand = (program: Command): void => {
  const root = tab(program, { completionCommandName: 'completion' });
  const description = 'print the completion script of bash, zsh or fish: source <(ka completion bash)';
  program.commands
    .find((command) => command.name() === 'completion')
    ?.description(description)
    // The script calls this `ka` by its path, whether or not PATH leads to it.
    .action((shell: string) => root.setup('ka', quoted(join(checkout, 'ka')), shell));
  root.command('completion', description);
  root.command('test', 'run all checks and tests'); // not in `program`, because `ka` runs it without a bundle
  for (const command of root.commands.values())
    for (const argument of command.arguments.values()) {
      const handler = byArgument.get(argument.name);
      if (handler) argument.handler = handler;
    }
  const completeOptionsOf = (command: Command, path: string): void => {
    for (const { flags, long } of command.options)
      if (/<(file|folder)>$/.test(flags)) {
        const option = root.commands.get(path)?.options.get(long?.slice(2) ?? '');
        if (option) option.handler = completeFiles;
      }
    for (const below of command.commands) completeOptionsOf(below, `${path} ${below.name()}`.trim());
  };
  completeOptionsOf(program, '');
};
