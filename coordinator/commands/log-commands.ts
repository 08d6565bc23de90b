import type { Command } from 'commander';
import pc from 'picocolors';
import { createAlarms } from '../../eventlog/grouped-alarms.ts';
import { type MissingLines, type RefusedOutput, readOutput } from '../../eventlog/live/output.ts';
import { trustNow } from '../../eventlog/signing/trust.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { Duration, durationSeconds } from '../../schemas/plan.ts';
import { printable, printableOutput } from '../../schemas/printable.ts';
import { StepName } from '../../schemas/step-names.ts';
import { isAskedFor, type State } from '../decider/state.ts';
import { eventLine } from '../reading/event-line.ts';
import { createShown, createTrouble, cutSentence } from '../reading/follower.ts';
import { Refused } from '../refused.ts';
import { addAcknowledgeCommand } from './acknowledge-command.ts';
import {
  type ConfigPlaces,
  type FleetOptions,
  iterationIn,
  print,
  printJson,
  say,
  withSession,
} from './options.ts';
import { addRestoreCommand, type RestoreMeans } from './restore-command.ts';
import type { Session } from './session.ts';

const asDocument = ({ sequence, event }: LoggedEvent) => {
  const { kind: _kind, ...envelope } = event;
  if (event.kind !== 'step') return { sequence, ...envelope };
  const {
    step: _step,
    fact: _fact,
    ...ofStep
  } = envelope as typeof envelope & { step: string; fact: string };
  return { sequence, ...ofStep };
};

/** `--since`: a sequence, a time, or how long ago (`15m`). @throws {Refused} */
const sinceFilter = (since: string | undefined): ((logged: LoggedEvent) => boolean) => {
  if (since === undefined) return () => true;
  if (/^\d+$/.test(since)) return ({ sequence }) => sequence >= Number(since);
  const ago = Duration.safeParse(since);
  const from = ago.success ? Date.now() - durationSeconds(ago.data) * 1000 : Date.parse(since);
  if (Number.isNaN(from))
    throw new Refused(
      `--since ${since}: expected a sequence, a time like 2026-05-11T20:00:00Z, or how long ago, like 15m`,
    );
  return ({ event }) => Date.parse(event.time) >= from;
};

const stopOnInterrupt = () => {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  return stop.signal;
};

const logLine = ({ sequence, event }: LoggedEvent): string => {
  const head = `${String(sequence).padStart(5)}  ${event.time.slice(0, 19)}Z  ${event.source.padEnd(11)}`;
  return `${pc.dim(head)}  ${event.iteration.padEnd(8)}  ${eventLine(event)}`;
};

const addLog = (program: Command, places: ConfigPlaces): Command =>
  program
    .command('log')
    .helpCommand(false)
    .description('print the events, of one iteration or all; rebuild them; acknowledge what is refused')
    .argument('[iteration]')
    .option('--follow', 'go on as events come, until interrupted')
    .option('--since <when>', 'from a sequence, a time, or how long ago (15m)')
    .option('--config <file>', "the command line's config")
    .option('--json', 'print each event as a JSON document on a line of its own')
    .action((name: string | undefined, options: FleetOptions & { follow?: boolean; since?: string }) =>
      withSession(options, places, async (session) => {
        const isWanted = sinceFilter(options.since);
        const read = name === undefined ? undefined : await session.readOf(name);
        // A refused start has events as well.
        if (name !== undefined && read?.state.starts.has(name) === false) iterationIn(read.state, name);
        const show = (logged: LoggedEvent) => {
          if (!isWanted(logged) || (name !== undefined && logged.event.iteration !== name)) return;
          if (options.json) printJson(asDocument(logged));
          else print(logLine(logged));
        };
        const signal = stopOnInterrupt();
        if (!options.follow) {
          for (const logged of (read ?? (await session.toItsEnd(() => session.log.read()))).events)
            show(logged);
          return;
        }
        const isNew = createShown();
        const [onCut, onTrouble] = [() => say(cutSentence), createTrouble((text) => say(`ka: ${text}`))];
        const part = name === undefined ? {} : { part: await session.log.partOf(name) };
        await session.log.follow({ ...part, signal, onCut, onTrouble }, (logged) => {
          if (isNew(logged)) show(logged);
        });
      }),
    );

/** How often it is asked again which host is asked for an attempt that was not known yet. */
const askAgainAfterMs = 2_000;

/** Which hosts are asked for the attempts of an iteration's steps; with `follow`, as they are asked. */
const createAsked = (session: Session, iteration: string, state: State, follow: boolean) => {
  let known = state.iterations.get(iteration);
  let lookedAt = performance.now();
  return async (of: { host: string; step: string; attempt: number }): Promise<boolean> => {
    if (isAskedFor(known, of)) return true;
    if (!follow || performance.now() - lookedAt < askAgainAfterMs) return false;
    known = (await session.readOf(iteration)).state.iterations.get(iteration);
    lookedAt = performance.now();
    return isAskedFor(known, of);
  };
};

/** Prints a step's output, and on standard error what is missing in it, or is not its host's. */
const showOutput = async (
  session: Session,
  { iteration, step, state }: { iteration: string; step: StepName; state: State },
  { follow = false, json }: FleetOptions & { follow?: boolean },
): Promise<void> => {
  const complain = (text: string) => say(printable(`ka: ${text}`));
  const alarms = createAlarms(complain);
  const told = {
    isAsked: createAsked(session, iteration, state, follow),
    onRefused: ({ host, subject, ...refused }: RefusedOutput) =>
      alarms.note({
        writer: host,
        what: `output of ${host}, ${subject}`,
        next: 'it is not shown',
        ...refused,
      }),
    onMissing: ({ host, attempt, first, last }: MissingLines) =>
      complain(`lines ${first} to ${last} of ${host}'s ${step} ${attempt} are not there`),
  };
  await readOutput(
    session.connection,
    trustNow(session.fleet),
    { iteration, step },
    { follow, signal: stopOnInterrupt(), ...told },
    (line) => (json ? printJson(line) : print(printableOutput(line.line))),
  );
  alarms.tell();
};

const addOutput = (program: Command, places: ConfigPlaces): void => {
  program
    .command('output')
    .description("print a step's output")
    .argument('<iteration>')
    .argument('<step>', StepName.options.join(', '))
    .option('--follow', 'go on as it comes, until interrupted')
    .option('--config <file>', "the command line's config")
    .option('--json', 'print each line as a JSON document')
    .action((name: string, step: string, options: FleetOptions & { follow?: boolean }) =>
      withSession(options, places, async (session) => {
        const { state } = await session.readOf(name);
        iterationIn(state, name);
        const known = StepName.safeParse(step);
        if (!known.success)
          throw new Refused(`there is no step "${step}"; there are ${StepName.options.join(', ')}`);
        await showOutput(session, { iteration: name, step: known.data, state }, options);
      }),
    );
};

export const addLogCommands = (program: Command, places: ConfigPlaces, restoreMeans: RestoreMeans): void => {
  const log = addLog(program, places);
  addRestoreCommand(log, places, restoreMeans);
  addAcknowledgeCommand(log, places);
  addOutput(program, places);
};
