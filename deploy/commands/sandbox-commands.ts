import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { print, printJson, progress } from '../../coordinator/commands/options.ts';
import { exampleForKernel } from '../examples/examples.ts';
import { endOnSignal } from '../local-fleet/end-on-signal.ts';
import { provisionSandbox } from '../local-fleet/provision.ts';
import { sandboxStatus, startSandbox, stopSandbox } from '../local-fleet/start-stop.ts';
import { defaultSandboxFolder, installedConfig } from '../places/default-folders.ts';
import { folderBoardMaking } from '../sandbox/folder-board.ts';

export interface SandboxOptions {
  dir?: string;
  kernel: string;
  json?: boolean;
}

export const folderOf = ({ dir }: Pick<SandboxOptions, 'dir'>): string => dir ?? defaultSandboxFolder();

/** How to talk to a running sandbox, and how to stop it. */
export const howToTalk = (folder: string, configFile: string, iteration = 'ITERATION'): string => {
  const isDefault = folder === defaultSandboxFolder();
  const config = isDefault && !existsSync(installedConfig) ? '' : ` --config ${configFile}`;
  return [
    `the sandbox fleet runs in ${folder}`,
    `  ka fleet${config}`,
    `  ka audit ${iteration}${config}`,
    `  ka log ${iteration}${config}`,
    `stop it with: ka down${isDefault ? '' : ` --dir ${folder}`}`,
  ].join('\n');
};

/** Sets a sandbox up afresh and starts it; progress goes to standard error. */
export const freshSandbox = async (
  options: SandboxOptions,
): Promise<{ folder: string; configFile: string }> => {
  const folder = folderOf(options);
  endOnSignal(folder, progress);
  await provisionSandbox({
    folder,
    example: exampleForKernel(options.kernel),
    board: folderBoardMaking,
    onProgress: progress,
  });
  progress('starting nats-server, sshd, the coordinator and the hosts');
  await startSandbox(folder);
  const { places } = await sandboxStatus(folder);
  return { folder, configFile: places.operatorConfig };
};

const kernelOption = [
  '--kernel <which>',
  'mini (the small stand-in) or linux (the real tree)',
  'mini',
] as const;
const dirOption = ['--dir <folder>', `the sandbox's folder (default: ${defaultSandboxFolder()})`] as const;

export const addSandboxCommands = (program: Command): void => {
  program
    .command('up')
    .description('set up the sandbox fleet afresh and start it')
    .option(...dirOption)
    .option(...kernelOption)
    .option('--json', 'print one JSON document')
    .action(async (options: SandboxOptions) => {
      const { folder, configFile } = await freshSandbox(options);
      if (options.json) printJson({ folder, config: configFile });
      else print(howToTalk(folder, configFile));
    });
  program
    .command('down')
    .description('stop the sandbox fleet; its folder stays')
    .option(...dirOption)
    .option('--json', 'print one JSON document')
    .action(async (options: SandboxOptions) => {
      const folder = folderOf(options);
      const stopped = await stopSandbox(folder);
      if (options.json) printJson({ folder, stopped });
      else print(stopped ? `stopped the sandbox fleet in ${folder}` : `nothing runs in ${folder}`);
    });
};
