import type { Command } from 'commander';
import pc from 'picocolors';
import { trustIn } from '../../eventlog/signing/trust.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { printable, printableJson, printableLines } from '../../schemas/printable.ts';
import { eventsOf, readExport } from '../export/read-export.ts';
import { type Audit, auditOf } from '../reading/audit.ts';
import { closeDocument } from '../reading/close-document.ts';
import { wordingNote } from '../reading/rendered-words.ts';
import { replayCheck } from '../reading/replay.ts';
import { stateAt } from '../reading/state-at.ts';
import { differences } from '../reading/state-diff.ts';
import { Refused } from '../refused.ts';
import { type ExportOptions, pinnedFleet, verify } from './export-command.ts';
import {
  type ConfigPlaces,
  type FleetOptions,
  iterationIn,
  print,
  printJson,
  withSession,
} from './options.ts';
import { colouredVerdict } from './table.ts';

/**
 * The ledger as people read it: one paragraph per clause, with its events below it; then the risks that came up, and
 * the notes.
 */
export const ledger = ({ clauses, risks, notes }: Audit): string =>
  [
    ...clauses.map(({ id, verdict, says, because, evidence }) =>
      [
        `${colouredVerdict(verdict.padEnd(6))} ${pc.bold(id.padEnd(4))} ${printable(says)}`,
        ...(because ? [`            ${printable(because)}`] : []),
        ...evidence.map((proof) => pc.dim(`            event ${proof.sequence}: ${printable(proof.says)}`)),
      ].join('\n'),
    ),
    ...risks.map(
      ({ id, risk, answer, cameUp }) =>
        `${pc.yellow('came up')} ${pc.bold(id)} ${printable(risk)}\n            ${printable(`${cameUp}; answered by: ${answer}`)}`,
    ),
    ...notes.map(
      ({ sequence, ...wording }) =>
        `${pc.yellow('note')} ${printable(wordingNote(`event ${sequence}`, wording))}`,
    ),
  ].join('\n');

const isProved = ({ clauses }: Audit): boolean =>
  clauses.every(({ verdict }) => verdict === 'PASS' || verdict === 'WAIVED');

const configOption = ['--config <file>', "the command line's config"] as const;

const addAudit = (program: Command, places: ConfigPlaces): void => {
  program
    .command('audit')
    .description(
      'the ledger: clause → verdict → evidence → event; exit code 1 unless every clause is PASS or WAIVED. With --verify, a check of the whole log instead: keys, roles, chains, checkpoints',
    )
    .argument('[iteration]')
    .option('--verify', 'check every message of the log; exit code 1 if there is a fault')
    .option('--from <file>', 'with --verify: check an export instead, without a server')
    .option('--fleet <file>', "with --from: the fleet's file that pins the keys (default: the config's)")
    .option(...configOption)
    .option('--json', 'print one JSON document')
    .action(
      (
        name: string | undefined,
        options: FleetOptions & { verify?: boolean; from?: string; fleet?: string },
      ) => {
        if (options.verify) return verify(options, places);
        if (options.from !== undefined) throw new Refused('--from goes with --verify');
        if (name === undefined) throw new Refused('ka audit needs an iteration, or --verify');
        return withSession(options, places, async (session) => {
          const { events, state } = await session.readOf(name);
          const audit = auditOf(iterationIn(state, name), events);
          if (options.json) printJson(audit);
          else print(ledger(audit));
          if (!isProved(audit)) process.exitCode = 1;
        });
      },
    );
};

const addReport = (program: Command, places: ConfigPlaces): void => {
  program
    .command('report')
    .description('the close document of an iteration, in Markdown, as it follows from the log')
    .argument('<iteration>')
    .option(...configOption)
    .option('--json', 'print one JSON document that holds the Markdown')
    .action((name: string, options: FleetOptions) =>
      withSession(options, places, async (session) => {
        const { state } = await session.readOf(name);
        const iteration = iterationIn(state, name);
        const markdown = closeDocument(iteration);
        if (options.json)
          printJson({ iteration: name, status: iteration.ended?.status ?? 'running', markdown });
        else print(printableLines(markdown.trimEnd()));
      }),
    );
};

type ReplayOptions = ExportOptions & { at?: string; diff?: string };

/** Decides again the events of the coordinator and the operators. */
const checkReplay = (
  events: readonly LoggedEvent[],
  { json }: ReplayOptions,
  withheld?: ReadonlySet<string>,
): void => {
  const result = replayCheck(events, withheld);
  if (json) printJson(result);
  else {
    for (const { sequence, type, why } of result.mismatches)
      print(printable(`sequence ${sequence}, ${type}: ${why}`));
    for (const { sequence, type, why } of result.notes)
      print(printable(`note: sequence ${sequence}, ${type}: ${why}`));
    print(`${result.events} events, ${result.decided} decided again, ${result.mismatches.length} differ`);
  }
  if (result.mismatches.length > 0) process.exitCode = 1;
};

/** Like {@link checkReplay}, for an export. @throws {Refused} if it holds a message that is no event. */
const checkExport = async (file: string, options: ReplayOptions, places: ConfigPlaces): Promise<void> => {
  const read = await readExport(file);
  const { events, refused } = await eventsOf(trustIn(pinnedFleet(options, places)), read);
  const [first] = refused;
  if (first)
    throw new Refused(
      `${file} holds a message at sequence ${first.sequence} that is no event: ${first.why}; next: ka audit --verify --from ${file}`,
    );
  checkReplay(events, options, read.withheld);
};

/** Shows the state at a sequence, or what changed in it. @throws {Refused} if an option is no sequence of the log. */
const showStates = (events: readonly LoggedEvent[], options: ReplayOptions): void => {
  const last = events.at(-1)?.sequence ?? 0;
  const point = (option: '--at' | '--diff', text: string | undefined): number => {
    if (text === undefined) return last;
    if (!/^\d+$/.test(text)) throw new Refused(`${option} ${text}: expected a sequence of the log`);
    if (Number(text) > last) throw new Refused(`the log ends at ${last}, there is no sequence ${text}`);
    return Number(text);
  };
  const at = point('--at', options.at);
  const state = stateAt(events, at);
  if (options.diff === undefined) {
    printJson(state, options.json ? undefined : 2);
    return;
  }
  const to = point('--diff', options.diff);
  const changes = differences(state, stateAt(events, to)).filter(({ path }) => path !== 'sequence');
  if (options.json) {
    printJson({ from: at, to, changes });
    return;
  }
  for (const { path, before, after } of changes)
    print(`${pc.bold(printable(path))}  ${printableJson(before)} → ${printableJson(after)}`);
  if (changes.length === 0) print(`nothing changed from ${at} to ${to}`);
};

const addReplay = (program: Command, places: ConfigPlaces): void => {
  program
    .command('replay')
    .description(
      'the state as it was at a sequence, or a check that today’s code still decides what the log holds',
    )
    .option('--at <sequence>', 'the state after this sequence (default: the last)')
    .option('--diff <sequence>', 'what changed in the state from --at to this sequence')
    .option('--check', 'decide again every event of coordinator and operator; exit code 1 if one differs')
    .option('--from <file>', 'with --check: of an export instead, without a server')
    .option('--fleet <file>', "with --from: the fleet's file that pins the keys (default: the config's)")
    .option(...configOption)
    .option('--json', 'print one JSON document')
    .action((options: ReplayOptions & { check?: boolean }) => {
      const { check, from } = options;
      if (from !== undefined && !check) throw new Refused('--from goes with --check');
      if (from !== undefined) return checkExport(from, options, places);
      return withSession(options, places, async (session) => {
        const { events } = await session.read();
        if (check) checkReplay(events, options);
        else showStates(events, options);
      });
    });
};

export const addProofCommands = (program: Command, places: ConfigPlaces): void => {
  addAudit(program, places);
  addReport(program, places);
  addReplay(program, places);
};
