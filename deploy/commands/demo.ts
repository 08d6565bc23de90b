import { resolve } from 'node:path';
import type { Command } from 'commander';
import { auditOf } from '../../coordinator/audit.ts';
import { closeDocument } from '../../coordinator/close-document.ts';
import { approveIteration, exitAs, startIteration } from '../../coordinator/commands/iteration-commands.ts';
import { print, printJson, say } from '../../coordinator/commands/options.ts';
import { ledger } from '../../coordinator/commands/proof-commands.ts';
import { reviewOf } from '../../coordinator/graph.ts';
import { openSession } from '../../coordinator/session.ts';
import { evidenceOf, type Iteration } from '../../coordinator/state.ts';
import { judgeSweep } from '../../coordinator/sweep-judgement.ts';
import { watchIteration } from '../../coordinator/watch.ts';
import { printableLines } from '../../schemas/printable.ts';
import { exampleForKernel } from '../sandbox/examples.ts';
import { sandboxPlaces } from '../sandbox/places.ts';
import { stopSandbox } from '../sandbox/sandbox.ts';
import { folderOf, freshSandbox, howToTalk, type SandboxOptions } from './sandbox-commands.ts';

interface DemoOptions extends SandboxOptions {
  keep?: boolean;
  plan?: string;
}

/** Says yes, with the key of each person that the plan asks, once there is something to review. A real plan waits for real people. */
const approveAll = (configFile: string) => {
  const asked = new Set<string>();
  return (iteration: Iteration) => {
    if (iteration.ended) return;
    for (const person of reviewOf(iteration)?.missing ?? []) {
      if (asked.has(person)) continue;
      asked.add(person);
      const note = 'approved by the demo in their name: read the series before you do this';
      const approve = async () => {
        const session = await openSession(configFile, person);
        try {
          await approveIteration(session, iteration.name, note);
        } finally {
          await session.close();
        }
      };
      void approve().catch((error: unknown) => say(`ka: ${error instanceof Error ? error.message : error}`));
    }
  };
};

const sweepCounts = (iteration: Iteration, step: 'presweep' | 'sweep') => {
  const swept = evidenceOf(iteration, step)?.evidence;
  if (!swept) return null;
  const { passed, total } = judgeSweep(iteration.plan.sweep, swept);
  return { passed, total };
};

/** Carries one plan through a running sandbox, from its start to its end. */
const carry = async (configFile: string, planFile: string, options: DemoOptions) => {
  const session = await openSession(configFile);
  try {
    const started = Date.now();
    const name = await startIteration(session, planFile);
    const out = options.json ? process.stderr : process.stdout;
    const iteration = await watchIteration(session, name, out, approveAll(configFile));
    const { events } = await session.read();
    const audit = auditOf(iteration, events);
    return {
      iteration,
      audit,
      summary: {
        iteration: name,
        status: audit.status,
        clauses: audit.clauses.map(({ id, verdict, events: seen }) => ({ id, verdict, events: seen })),
        sweep: { before: sweepCounts(iteration, 'presweep'), after: sweepCounts(iteration, 'sweep') },
        lastSequence: events.at(-1)?.sequence ?? 0,
        seconds: Math.round((Date.now() - started) / 100) / 10,
      },
    };
  } finally {
    await session.close();
  }
};

const counted = (counts: { passed: number; total: number } | null) =>
  counts ? `${counts.passed}/${counts.total}` : 'not swept';

export const addDemoCommand = (program: Command): void => {
  program
    .command('demo')
    .description('carry iteration 5 from plan to close in a fresh sandbox; exit code 0 only if it closed')
    .option('--keep', 'leave the fleet running, and say how to talk to it')
    .option('--kernel <which>', 'mini (the small stand-in) or linux (the real tree, two iterations)', 'mini')
    .option('--plan <file>', "another plan than the example's own")
    .option('--dir <folder>', "the sandbox's folder")
    .option('--json', 'print one JSON document')
    .action(async (options: DemoOptions) => {
      const example = exampleForKernel(options.kernel);
      const folder = folderOf(options);
      const stop = () => void stopSandbox(folder).finally(() => process.exit(1));
      process.once('SIGINT', stop);
      process.once('SIGTERM', stop);
      const { configFile } = await freshSandbox(options);
      let last: Awaited<ReturnType<typeof carry>> | undefined;
      try {
        const plans = options.plan ? [resolve(options.plan)] : example.planFiles(sandboxPlaces(folder));
        const summaries: unknown[] = [];
        for (const plan of plans) {
          last = await carry(configFile, plan, options);
          summaries.push(last.summary);
          const { summary, audit, iteration } = last;
          if (!options.json) {
            print(
              `\nsweep: ${counted(summary.sweep.before)} before, ${counted(summary.sweep.after)} after\n`,
            );
            print(ledger(audit));
            print(`\n${printableLines(closeDocument(iteration))}`);
          }
          if (summary.status !== 'closed') break;
        }
        if (options.json)
          printJson(plans.length === 1 ? summaries[0] : { ...last?.summary, iterations: summaries });
        if (last) exitAs(last.iteration);
      } finally {
        if (options.keep) say(howToTalk(folder, configFile, last?.iteration.name));
        else {
          say('· stopping the fleet');
          await stopSandbox(folder);
        }
      }
    });
};
