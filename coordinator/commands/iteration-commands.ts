import type { Command } from 'commander';
import { serverTime } from '../../eventlog/connection/server-time.ts';
import { needsOf } from '../../schemas/needs.ts';
import { Duration, durationSeconds } from '../../schemas/plan.ts';
import type { Command as Wish } from '../decider/decide.ts';
import type { Iteration } from '../decider/state.ts';
import { loadPlan } from '../plan/plan-file.ts';
import { refusalWords } from '../reading/english/refusals.ts';
import { reviewFor, reviewText } from '../reading/review.ts';
import { summary } from '../reading/summary.ts';
import { watchIteration } from '../reading/watch.ts';
import { Refused } from '../refused.ts';
import { awaitAnswer } from './answer.ts';
import { tellKeeping } from './keeping.ts';
import {
  type ConfigPlaces,
  type FleetOptions,
  iterationIn,
  print,
  printJson,
  say,
  withSession,
} from './options.ts';
import { page } from './pager.ts';
import type { Session } from './session.ts';
import { standing, standings, summaries } from './standing.ts';

const asOption = ['--as <name>', 'who acts: a name whose key the config has (default: its first)'] as const;
const configOption = [
  '--config <file>',
  "the command line's config (default: /etc/kernel-agent/ka.yaml, or the sandbox's)",
] as const;
const jsonOption = ['--json', 'print one JSON document'] as const;

/** Sets the exit code for an ended iteration: 0 only if it closed. */
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

/** Shows an iteration until it ends. */
const watchToEnd = async (session: Session, name: string, { json }: FleetOptions): Promise<void> => {
  const { iteration, state } = await watchIteration(session, name, json ? process.stderr : process.stdout);
  if (json) printJson(summary(iteration, state));
  exitAs(iteration);
};

const addIterate = (program: Command, places: ConfigPlaces): void => {
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
        if (options.watch) return watchToEnd(session, name, options);
        if (options.json) printJson({ iteration: name, status: 'running' });
        else print(`${name} is accepted; see: ka watch ${name}`);
      }),
    );
};

const addStatus = (program: Command, places: ConfigPlaces): void => {
  program
    .command('status')
    .description('show where an iteration stands, or all of them')
    .argument('[iteration]')
    .option(...configOption)
    .option(...jsonOption)
    .action((name: string | undefined, options: FleetOptions) =>
      withSession(options, places, async (session) => {
        await tellKeeping(session);
        if (name !== undefined) {
          const { state } = await session.readOf(name);
          const iteration = iterationIn(state, name);
          return options.json ? printJson(summary(iteration, state)) : print(standing(iteration, state));
        }
        const all = summaries(await session.standing({ details: options.json === true }));
        if (options.json) return printJson(all);
        print(all.length === 0 ? 'no iteration yet; start one with: ka iterate PLAN' : standings(all));
      }),
    );
};

const addWatch = (program: Command, places: ConfigPlaces): void => {
  program
    .command('watch')
    .description('show an iteration live until it ends; exit code 1 if it does not close')
    .argument('<iteration>')
    .option(...configOption)
    .option(...jsonOption)
    .action((name: string, options: FleetOptions) =>
      withSession(options, places, async (session) => {
        iterationIn((await session.readOf(name)).state, name);
        await watchToEnd(session, name, options);
      }),
    );
};

const addReview = (program: Command, places: ConfigPlaces): void => {
  program
    .command('review')
    .description('show what an approver signs for: the series, the package, and what it is built from')
    .argument('<iteration>')
    .option(...configOption)
    .option(...jsonOption)
    .action((name: string, options: FleetOptions) =>
      withSession(options, places, async (session) => {
        const review = reviewFor(iterationIn((await session.readOf(name)).state, name));
        if (!review) throw new Refused(refusalWords(name, { code: 'nothing-to-review' }));
        if (options.json) printJson(review);
        else await page(reviewText(review));
      }),
    );
};

/** Reports what was appended, for a person or a program. */
const tellSaid = (options: FleetOptions, iteration: string, event: string, by: string): void => {
  if (options.json) printJson({ iteration, event, by });
  else say(`${event}: ${iteration} by ${by}`);
};

const addApprove = (program: Command, places: ConfigPlaces): void => {
  program
    .command('approve')
    .description('approve what ka review shows: this board, this plan and these trees, once')
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
        tellSaid(options, iteration, event, session.by);
      }),
    );
};

/** A command that appends a person's event about an iteration. */
interface Saying {
  name: string;
  description: string;
  args?: readonly string[];
  note?: 'asked' | 'required';
  wish: (iteration: string, by: string, said: { note: string; args: readonly string[] }) => Wish;
}

const sayings: readonly Saying[] = [
  {
    name: 'reject',
    description: 'reject what preflight showed; the iteration fails',
    note: 'required',
    wish: (iteration, by, { note }) => ({ do: 'Reject', iteration, by, note }),
  },
  {
    name: 'retry',
    description: 'ask again for what failed before the board was changed',
    wish: (iteration, by) => ({ do: 'Retry', iteration, by }),
  },
  {
    name: 'abort',
    description: 'stop an iteration; a board that was changed is rolled back',
    note: 'asked',
    wish: (iteration, by, { note }) => ({ do: 'Abort', iteration, by, why: note }),
  },
  {
    name: 'waive',
    description: 'let a clause go without proof',
    args: ['<clause>'],
    note: 'required',
    wish: (iteration, by, { note, args: [clause = ''] }) => ({
      do: 'Waive',
      iteration,
      by,
      clause,
      why: note,
    }),
  },
];

const addSaying = (
  program: Command,
  places: ConfigPlaces,
  { name, description, args = [], note, wish }: Saying,
): void => {
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
    if (note === 'required' && !options.note?.trim()) throw new Refused(`ka ${name} needs a reason: -m WHY`);
    await withSession(options, places, async (session) => {
      const { by } = session;
      const said = await session.command(wish(iteration, by, { note: options.note ?? '', args: rest }));
      if (said.type === 'RetryAsked') await awaitAnswer(session, said);
      tellSaid(options, iteration, said.type, by);
    });
  });
};

export const addIterationCommands = (program: Command, places: ConfigPlaces): void => {
  addIterate(program, places);
  addStatus(program, places);
  addWatch(program, places);
  addReview(program, places);
  addApprove(program, places);
  for (const saying of sayings) addSaying(program, places, saying);
};
