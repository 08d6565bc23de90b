import type { Command } from 'commander';
import pc from 'picocolors';
import { serverTime } from '../../eventlog/connection/server-time.ts';
import { needsOf } from '../../schemas/needs.ts';
import { Duration, durationSeconds } from '../../schemas/plan.ts';
import { printable } from '../../schemas/printable.ts';
import type { Command as Wish } from '../decider/decide.ts';
import type { Iteration, State } from '../decider/state.ts';
import { verdictsOf } from '../decider/verdicts.ts';
import { loadPlan } from '../plan/plan-file.ts';
import { endingWords } from '../reading/english/reasons.ts';
import { refusalWords } from '../reading/english/refusals.ts';
import { goBackWords } from '../reading/event-line.ts';
import { spokenSeconds } from '../reading/markdown.ts';
import { progress, type StepProgress, waitsFor } from '../reading/progress.ts';
import { watchIteration } from '../reading/watch.ts';
import { Refused } from '../refused.ts';
import { awaitAnswer } from './answer.ts';
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

interface Summary {
  iteration: string;
  title: string;
  board: string;
  status: string;
  /** Why it ended; null while it has not. */
  because: string | null;
  waitsFor: string;
  started: string;
  ended: string | null;
  steps: Omit<StepProgress, 'since'>[];
  clauses: { id: string; verdict: string }[];
}

const summary = (iteration: Iteration, state: State): Summary => ({
  iteration: iteration.name,
  title: iteration.plan.title,
  board: iteration.plan.board,
  status: iteration.ended?.status ?? 'running',
  because: iteration.ended ? endingWords(iteration.ended) : null,
  waitsFor: waitsFor(iteration, state),
  started: iteration.started.time,
  ended: iteration.ended?.time ?? null,
  steps: progress(iteration).map(({ since: _since, ...row }) => row),
  clauses: verdictsOf(iteration).map(({ id, verdict }) => ({ id, verdict })),
});

/** What was asked for and is no iteration: the coordinator has refused it, or not answered yet. */
const unaccepted = (state: State): Summary[] =>
  [...state.starts].flatMap(([name, { open, refused }]): Summary[] => {
    if (state.iterations.has(name)) return [];
    const [asked] = open;
    const known = { iteration: name, steps: [], clauses: [] };
    if (asked)
      return [
        {
          ...known,
          title: asked.plan.title,
          board: asked.plan.board,
          status: 'asked',
          because: null,
          waitsFor: 'the coordinator',
          started: asked.time,
          ended: null,
        },
      ];
    if (!refused) return [];
    const { title, board, reason, started, time } = refused;
    const because = refusalWords(name, reason);
    return [
      {
        ...known,
        title,
        board,
        status: 'refused',
        because,
        waitsFor: '',
        started: started.time,
        ended: time,
      },
    ];
  });

/** Where an iteration stands, as people read it. */
export const standing = (iteration: Iteration, state: State): string => {
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
    printable(ended ? `${ended.status}: ${endingWords(ended)}` : `waits for ${waitsFor(iteration, state)}`),
    ...(ended?.status === 'failed' ? [printable(`go back to: ${goBackWords(plan.goBack)}`)] : []),
  ].join('\n');
};

/** Sets the exit code that an ended iteration gives: 0 only if it closed. */
export const exitAs = (iteration: Iteration): void => {
  if (iteration.ended?.status !== 'closed') process.exitCode = 1;
};

/**
 * Asks for an iteration from a plan's file, and waits for the coordinator's answer.
 * @throws {PlanFaults} @throws {Refused} if it can't begin as things are. @throws {NoAnswer} if no coordinator answers.
 */
export const startIteration = async (session: Session, planFile: string): Promise<string> => {
  const loaded = loadPlan(planFile, session.fleet);
  const { iteration } = loaded.plan;
  const needs = needsOf(loaded.plan);
  const data = { ...loaded, by: session.by, ...(needs.length > 0 ? { needs } : {}) };
  await awaitAnswer(session, await session.command({ do: 'Start', iteration, data }));
  return iteration;
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
  const { type } = await session.command({ do: 'Approve', iteration, by: session.by, note, expires });
  return type;
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
          else print(`${name} is accepted; see: ka watch ${name}`);
          return;
        }
        const { iteration, state } = await watchIteration(
          session,
          name,
          options.json ? process.stderr : process.stdout,
        );
        if (options.json) printJson(summary(iteration, state));
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
          return options.json ? printJson(summary(iteration, state)) : print(standing(iteration, state));
        }
        const all = [
          ...[...state.iterations.values()].map((iteration) => summary(iteration, state)),
          ...unaccepted(state),
        ];
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
        const { iteration, state } = await watchIteration(
          session,
          name,
          options.json ? process.stderr : process.stdout,
        );
        if (options.json) printJson(summary(iteration, state));
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
        const said = await session.command(wish(iteration, by, { note: options.note ?? '', args: rest }));
        if (said.type === 'RetryAsked') await awaitAnswer(session, said);
        if (options.json) printJson({ iteration, event: said.type, by });
        else say(`${said.type}: ${iteration} by ${by}`);
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
      do: 'Reject',
      iteration,
      by,
      note,
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
