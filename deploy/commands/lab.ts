import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Command } from 'commander';
import { print, printJson } from '../../coordinator/commands/options.ts';
import { attachConsole } from '../lab/attach-console.ts';
import { type BoardStatus, boardStatus } from '../lab/board-status.ts';
import { defaultLabFolder, labPlaces } from '../lab/lab-places.ts';
import { sshArgv } from '../lab/ssh-argv.ts';
import { readFacts } from '../sandbox/identity.ts';
import { sandboxPlaces } from '../sandbox/places.ts';

export interface LabOptions {
  dir?: string;
  json?: boolean;
}

export const labFolderOf = ({ dir }: Pick<LabOptions, 'dir'>): string => dir ?? defaultLabFolder();

export const labDirOption = ['--dir <folder>', `the lab's folder (default: ${defaultLabFolder()})`] as const;

/** @throws {Error} if there is no lab in the folder. */
const labIn = async (options: LabOptions) => {
  const folder = labFolderOf(options);
  const { ports } = await readFacts(sandboxPlaces(folder));
  if (ports === undefined)
    throw new Error(`the fleet in ${folder} has no virtual board: make a lab with \`ka lab up\``);
  return { places: labPlaces(folder), ports };
};

const told = (status: BoardStatus): string =>
  [
    `power    ${status.power}${status.pid === null ? '' : `, QEMU is process ${status.pid}`}`,
    `ssh      ${status.ssh ? 'answers' : 'does not answer'}`,
    ...(status.bootId === null ? [] : [`boot id  ${status.bootId}`, `kernel   ${status.version}`]),
    ...Object.entries(status.units).map(([unit, state]) => `unit     ${unit} is ${state}`),
  ].join('\n');

/** `ka lab`, with what talks to its virtual board. */
export const addLabCommands = (program: Command): Command => {
  const lab = program
    .command('lab')
    .description('the virtual board: a fleet whose board really boots what was built');
  lab
    .command('ssh')
    .description("run a command on the virtual board as its administrator, or a shell; ssh's own exit code")
    .argument('[command...]', 'what to run there; words that begin with - stand after --')
    .option(...labDirOption)
    .action(async (command: string[], options: LabOptions) => {
      const { places, ports } = await labIn(options);
      const [file = '', ...args] = sshArgv(places, ports, command);
      const [code, signal] = await once(spawn(file, args, { stdio: 'inherit' }), 'exit');
      process.exitCode = signal === null ? Number(code) : 255;
    });
  lab
    .command('console')
    .description("the virtual board's serial console; leave it with Ctrl-]")
    .option(...labDirOption)
    .action(async (options: LabOptions) => attachConsole((await labIn(options)).places));
  lab
    .command('status')
    .description('how the virtual board is: power, SSH, kernel, the agent')
    .option(...labDirOption)
    .option('--json', 'print one JSON document')
    .action(async (options: LabOptions) => {
      const { places, ports } = await labIn(options);
      const status = await boardStatus(places, ports);
      if (options.json) printJson(status);
      else print(told(status));
    });
  return lab;
};
