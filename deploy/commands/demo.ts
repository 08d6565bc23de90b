import { resolve } from 'node:path';
import type { Command } from 'commander';
import { exitAs } from '../../coordinator/commands/iteration-commands.ts';
import { printJson, progress, say } from '../../coordinator/commands/options.ts';
import { exampleForKernel } from '../examples/examples.ts';
import { stopSandbox } from '../local-fleet/start-stop.ts';
import { sandboxPlaces } from '../places/sandbox-places.ts';
import { type Carried, carryPlans, documentOf } from './carry-plans.ts';
import { folderOf, freshSandbox, howToTalk, type SandboxOptions } from './sandbox-commands.ts';

interface DemoOptions extends SandboxOptions {
  keep?: boolean;
  plan?: string;
}

export const addDemoCommand = (program: Command): void => {
  program
    .command('demo')
    .description('carry iteration 5 from plan to close in a fresh sandbox; exit code 0 only if it closed')
    .option('--keep', 'leave the fleet running, and print how to use it')
    .option('--kernel <which>', 'mini (the small stand-in) or linux (the real tree, two iterations)', 'mini')
    .option('--plan <file>', "another plan than the example's own")
    .option('--dir <folder>', "the sandbox's folder")
    .option('--json', 'print one JSON document')
    .action(async (options: DemoOptions) => {
      const example = exampleForKernel(options.kernel);
      const folder = folderOf(options);
      const { configFile } = await freshSandbox(options);
      let last: Carried | undefined;
      try {
        const plans = options.plan ? [resolve(options.plan)] : example.planFiles(sandboxPlaces(folder));
        const carried = await carryPlans(configFile, plans, options);
        last = carried.at(-1);
        if (options.json) printJson(documentOf(carried.map(({ summary }) => summary)));
        if (last) exitAs(last.iteration);
      } finally {
        if (options.keep) say(howToTalk(folder, configFile, last?.iteration.name));
        else {
          progress('stopping the fleet');
          await stopSandbox(folder);
        }
      }
    });
};
