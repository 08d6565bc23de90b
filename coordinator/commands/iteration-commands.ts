import type { Command } from 'commander';
import pc from 'picocolors';
import { serverTime } from '../../eventlog/connection/server-time.ts';
import { Duration, durationSeconds } from '../../schemas/plan.ts';
import { printable } from '../../schemas/printable.ts';
import { Refused, type Command as Wish } from '../decider/decide.ts';
import { currentRules } from '../decider/graph.ts';
import type { Iteration } from '../decider/state.ts';
import { verdictsOf } from '../decider/verdicts.ts';
import { loadPlan } from '../plan/plan-file.ts';
import { spokenSeconds } from '../reading/markdown.ts';
import { progress, waitsFor } from '../reading/progress.ts';
import { watchIteration } from '../reading/watch.ts';
import {
  type ConfigPlaces,
  type FleetOptions,
  iterationIn,
  print,
  printJson,
  say,
  withSession,
} from './options.ts';
import type { Session } from './session.ts';
import { columns } from './table.ts';

const asOption = [
  '--as <name>',
  'who says it: a name that the config has the key of (default: its first)',
] as const;
const configOption = [
  '--config <file>',
  "the command line's config (default: /etc/kernel-agent/ka.yaml, or the sandbox's)",
] as const;
const jsonOption = ['--json', 'print one JSON document'] as const;

const summary = (iteration: Iteration) => ({
  iteration: iteration.name,
  title: iteration.plan.title,
  board: iteration.plan.board,
  status: iteration.ended?.status ?? 'running',
  because: iteration.ended?.because ?? null,
  waitsFor: waitsFor(iteration),
  started: iteration.started.time,
  ended: iteration.ended?.time ?? null,
  steps: progress(iteration).map(({ since: _since, ...row }) => row),
  clauses: verdictsOf(iteration).map(({ id, verdict }) => ({ id, verdict })),
});

/** Where an iteration stands, as people read it. */
export const standing = (iteration: Iteration): string => {
  const { name, plan, ended } = iteration;
  return [
    `${pc.bold(name)}  ${printable(plan.title)}: ${ended?.status ?? 'running'}`,
    columns(
      ['step', 'status', 'host', 'attempt', 'took', ''],
      progress(iteration).map(({ step, status, host, attempt, seconds, remark }) => [
        step,
        status,
        host,
        attempt ? String(attempt) : '',
        seconds === undefined ? '' : spokenSeconds(seconds),
        printable(remark),
      ]),
    ),
    printable(ended ? `${ended.status}: ${ended.because}` : `waits for ${waitsFor(iteration)}`),
    ...(ended?.status === 'failed' ? [printable(`go back to: ${plan.goBack}`)] : []),
  ].join('\n');
};

/** Sets the exit code that an ended iteration gives: 0 only if it closed. */
export const exitAs = (iteration: Iteration): void => {
  if (iteration.ended?.status !== 'closed') process.exitCode = 1;
};

/** Starts an iteration from a plan's file. @throws {PlanFaults} @throws {Refused} if its name is taken. */
export const startIteration = async (session: Session, planFile: string): Promise<string> => {
  const { plan, planSha256, series } = loadPlan(planFile, session.fleet);
  const { by } = session;
  const data = { plan, planSha256, series, signingKey: session.fleet.signingKey, by, rules: currentRules };
  await session.command({ do: 'Start', iteration: plan.iteration, data });
  return plan.iteration;
};

const approvalLasts = '7d';

/**
 * Approves what preflight showed, for as long as `lasts`, by the clock of the log's server.
 * @param lasts a duration like `7d`. @throws {Refused}
 */
export const approveIteration = async (
  session: Session,
  iteration: string,
  note: string,
  lasts = approvalLasts,
): Promise<string> => {
  const duration = Duration.safeParse(lasts);
  if (!duration.success) throw new Refused(`--expires ${lasts}: expected a duration, like 12h or 7d`);
  const now = await serverTime(session.connection);
  const expires = new Date(now.getTime() + durationSeconds(duration.data) * 1000).toISOString();
  return session.command({ do: 'Approve', iteration, by: session.by, note, approved: true, expires });
};

export const addIterationCommands = (program: Command, places: ConfigPlaces): void => {
  program
    .command('iterate')
    .description('start an iteration from a plan')
    .argument('<plan>', 'the plan (YAML)')
    .option('--watch', 'show it live until it ends; exit code 1 if it does not close')
    .option(...asOption)
    .option(...configOption)
    .option(...jsonOption)
    .action((file: string, options: FleetOptions & { watch?: boolean }) =>
      withSession(options, places, async (session) => {
        const name = await startIteration(session, file);
        if (!options.watch) {
          if (options.json) printJson({ iteration: name, status: 'running' });
          else print(`${name} started; see: ka watch ${name}`);
          return;
        }
        const iteration = await watchIteration(session, name, options.json ? process.stderr : process.stdout);
        if (options.json) printJson(summary(iteration));
        exitAs(iteration);
      }),
    );

  program
    .command('status')
    .description('show where an iteration stands, or all of them')
    .argument('[iteration]')
    .option(...configOption)
    .option(...jsonOption)
    .action((name: string | undefined, options: FleetOptions) =>
      withSession(options, places, async (session) => {
        const { state } = await session.read();
        if (name !== undefined) {
          const iteration = iterationIn(state, name);
          return options.json ? printJson(summary(iteration)) : print(standing(iteration));
        }
        const all = [...state.iterations.values()].map(summary);
        if (options.json) return printJson(all);
        if (all.length === 0) return print('no iteration yet; start one with: ka iterate PLAN');
        print(
          columns(
            ['iteration', 'status', 'board', 'started', ''],
            all.map(({ iteration, status, board, started, waitsFor: waits, because }) => [
              iteration,
              status,
              board,
              started,
              printable(because ?? `waits for ${waits}`),
            ]),
          ),
        );
      }),
    );

  program
    .command('watch')
    .description('show an iteration live until it ends; exit code 1 if it does not close')
    .argument('<iteration>')
    .option(...configOption)
    .option(...jsonOption)
    .action((name: string, options: FleetOptions) =>
      withSession(options, places, async (session) => {
        iterationIn((await session.read()).state, name);
        const iteration = await watchIteration(session, name, options.json ? process.stderr : process.stdout);
        if (options.json) printJson(summary(iteration));
        exitAs(iteration);
      }),
    );

  /** A command that appends what a person said. */
  const saying = (
    name: string,
    description: string,
    { args = [], note }: { args?: string[]; note?: 'asked' | 'required' },
    wish: (iteration: string, by: string, said: { note: string; args: string[] }) => Wish,
  ) => {
    const command = program.command(name).description(description).argument('<iteration>');
    for (const argument of args) command.argument(argument);
    command
      .option(...asOption)
      .option(...configOption)
      .option(...jsonOption);
    if (note) command.option('-m, --note <note>', note === 'required' ? 'why (required)' : 'a note');
    command.action(async (...given: unknown[]) => {
      const options = given[args.length + 1] as FleetOptions & { note?: string };
      const [iteration = '', ...rest] = given.slice(0, args.length + 1) as string[];
      if (note === 'required' && !options.note?.trim())
        throw new Refused(`ka ${name} needs a reason: -m WHY`);
      await withSession(options, places, async (session) => {
        const { by } = session;
        const type = await session.command(wish(iteration, by, { note: options.note ?? '', args: rest }));
        if (options.json) printJson({ iteration, event: type, by });
        else say(`${type}: ${iteration} by ${by}`);
      });
    });
  };
  program
    .command('approve')
    .description('approve what preflight showed: this plan and this tree, once')
    .argument('<iteration>')
    .option('-m, --note <note>', 'a note')
    .option(
      '--expires <duration>',
      `how long it lasts, if nothing is landed on it (default: ${approvalLasts})`,
    )
    .option(...asOption)
    .option(...configOption)
    .option(...jsonOption)
    .action((iteration: string, options: FleetOptions & { note?: string; expires?: string }) =>
      withSession(options, places, async (session) => {
        const event = await approveIteration(session, iteration, options.note ?? '', options.expires);
        const { by } = session;
        if (options.json) printJson({ iteration, event, by });
        else say(`${event}: ${iteration} by ${by}`);
      }),
    );
  saying(
    'reject',
    'reject what preflight showed; the iteration fails',
    { note: 'required' },
    (iteration, by, { note }) => ({
      do: 'Approve',
      iteration,
      by,
      note,
      approved: false,
    }),
  );
  saying('retry', 'ask again for what failed before the board was changed', {}, (iteration, by) => ({
    do: 'Retry',
    iteration,
    by,
  }));
  saying(
    'abort',
    'stop an iteration; a board that was changed is rolled back',
    { note: 'asked' },
    (iteration, by, { note }) => ({
      do: 'Abort',
      iteration,
      by,
      why: note,
    }),
  );
  saying(
    'waive',
    'let a clause go without proof',
    { args: ['<clause>'], note: 'required' },
    (iteration, by, { note, args: [clause = ''] }) => ({
      do: 'Waive',
      iteration,
      by,
      clause,
      why: note,
    }),
  );
};
