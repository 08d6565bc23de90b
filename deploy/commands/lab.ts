import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { exitAs } from '../../coordinator/commands/iteration-commands.ts';
import { print, printJson, progress, say } from '../../coordinator/commands/options.ts';
import { evidenceOf } from '../../coordinator/decider/state.ts';
import type { Boot } from '../../schemas/boot.ts';
import { enrolHost } from '../enrol/enrol-host.ts';
import { exampleLab } from '../examples/example-lab.ts';
import { attachConsole } from '../lab/attach-console.ts';
import { type BoardStatus, boardStatus } from '../lab/board-status.ts';
import { destroyLab, makeLab, startLab } from '../lab/lab.ts';
import { labPlaces } from '../lab/lab-places.ts';
import { sshArgv } from '../lab/ssh-argv.ts';
import { endOnSignal } from '../local-fleet/end-on-signal.ts';
import { readFacts } from '../local-fleet/sandbox-facts.ts';
import { stopSandbox } from '../local-fleet/start-stop.ts';
import { defaultLabFolder } from '../places/default-folders.ts';
import { sandboxPlaces } from '../places/sandbox-places.ts';
import { type Carried, carryPlans, documentOf } from './carry-plans.ts';

interface LabOptions {
  dir?: string;
  json?: boolean;
}

interface CarryOptions extends LabOptions {
  keep?: boolean;
  plan?: string;
}

const labFolderOf = ({ dir }: Pick<LabOptions, 'dir'>): string => dir ?? defaultLabFolder();

const labDirOption = ['--dir <folder>', `the lab's folder (default: ${defaultLabFolder()})`] as const;

/** @throws {Error} if there is no lab in the folder. */
const labIn = async (folder: string) => {
  if (!existsSync(sandboxPlaces(folder).marker))
    throw new Error(
      `there is no lab in ${folder}: make one with \`ka lab up\`, or name its folder with --dir`,
    );
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

/** How to talk to a running lab. */
const howToTalk = (folder: string, iteration = 'ITERATION'): string => {
  const dir = folder === defaultLabFolder() ? '' : ` --dir ${folder}`;
  const config = ` --config ${sandboxPlaces(folder).operatorConfig}`;
  return [
    `the lab runs in ${folder}`,
    `  ka lab status${dir}`,
    `  ka lab ssh${dir}`,
    `  ka lab console${dir}`,
    `  ka fleet${config}`,
    `  ka audit ${iteration}${config}`,
    `stop it with: ka lab down${dir}`,
  ].join('\n');
};

/** The effect of an iteration's reboot: the boot before it, the boot after it, and the seconds between them. */
const bootsOf = ({ iteration }: Carried) => {
  const rebooted = evidenceOf(iteration, 'reboot')?.evidence;
  const boot = ({ bootId, procVersion }: Boot) => ({ bootId, procVersion });
  return {
    before: rebooted ? boot(rebooted.before) : null,
    after: rebooted ? boot(rebooted.after) : null,
    secondsDown: rebooted?.secondsDown ?? null,
  };
};

const carryInLab = async (options: CarryOptions) => {
  const folder = labFolderOf(options);
  endOnSignal(folder, progress);
  await makeLab(folder, enrolHost, progress);
  const places = sandboxPlaces(folder);
  let last: Carried | undefined;
  try {
    const plans = options.plan ? [resolve(options.plan)] : exampleLab.planFiles(places);
    const carried = await carryPlans(places.operatorConfig, plans, options);
    last = carried.at(-1);
    if (options.json) printJson(documentOf(carried.map((one) => ({ ...one.summary, boots: bootsOf(one) }))));
    if (last) exitAs(last.iteration);
  } finally {
    if (options.keep) say(howToTalk(folder, last?.iteration.name));
    else {
      progress('stopping the lab');
      await stopSandbox(folder);
    }
  }
};

/** A subcommand that does one thing to the lab and reports it, as text or as one JSON document. */
const addTelling = (
  lab: Command,
  name: string,
  description: string,
  act: (folder: string) => Promise<{ document: unknown; text: string }>,
): Command =>
  lab
    .command(name)
    .description(description)
    .option(...labDirOption)
    .option('--json', 'print one JSON document')
    .action(async (_own: LabOptions, self: Command) => {
      const options = self.optsWithGlobals<LabOptions>();
      const { document, text } = await act(labFolderOf(options));
      if (options.json) printJson(document);
      else print(text);
    });

/** `ka lab`, with the subcommands for its virtual board. */
export const addLabCommands = (program: Command): Command => {
  const lab = program
    .command('lab')
    .description(
      'carry iteration 5 from plan to close in a fresh lab: a fleet whose board is a virtual machine that boots what was built',
    )
    .option('--keep', 'leave the lab running, and print how to use it')
    .option('--plan <file>', "another plan than the lab's own")
    .option(...labDirOption)
    .option('--json', 'print one JSON document')
    .action(carryInLab);
  // `--dir` may stand before the subcommand and after it.
  lab.enablePositionalOptions();
  addTelling(lab, 'up', 'start the lab, or make it if there is none', async (folder) => {
    endOnSignal(folder, progress);
    await startLab(folder, enrolHost, progress);
    return {
      document: { folder, config: sandboxPlaces(folder).operatorConfig },
      text: howToTalk(folder),
    };
  });
  addTelling(lab, 'down', 'shut the board down and stop the lab; its folder stays', async (folder) => {
    const stopped = await stopSandbox(folder);
    const text = stopped ? `stopped the lab in ${folder}` : `nothing runs in ${folder}`;
    return { document: { folder, stopped }, text };
  });
  addTelling(
    lab,
    'destroy',
    'stop the lab and remove it, including the board and its disk',
    async (folder) => {
      const removed = await destroyLab(folder);
      const text = removed ? `removed the lab in ${folder}` : `there is nothing in ${folder}`;
      return { document: { folder, removed }, text };
    },
  );
  addTelling(lab, 'status', 'the state of the virtual board: power, SSH, kernel, agent', async (folder) => {
    const { places, ports } = await labIn(folder);
    const status = await boardStatus(places, ports);
    return { document: status, text: told(status) };
  });
  lab
    .command('ssh')
    .description("run a command on the virtual board as its administrator, or a shell; ssh's own exit code")
    .argument('[command...]', 'what to run there')
    .option(...labDirOption)
    .passThroughOptions()
    .action(async (command: string[], _own: LabOptions, self: Command) => {
      const options = self.optsWithGlobals<LabOptions>();
      const { places, ports } = await labIn(labFolderOf(options));
      const [file = '', ...args] = sshArgv(places, ports, command);
      const [code, signal] = await once(spawn(file, args, { stdio: 'inherit' }), 'exit');
      process.exitCode = signal === null ? Number(code) : 255;
    });
  lab
    .command('console')
    .description("the virtual board's serial console; leave it with Ctrl-]")
    .option(...labDirOption)
    .action(async (_own: LabOptions, self: Command) =>
      attachConsole((await labIn(labFolderOf(self.optsWithGlobals<LabOptions>()))).places),
    );
  return lab;
};
