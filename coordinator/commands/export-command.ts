import type { Command } from 'commander';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import type { LogReports } from '../../eventlog/stream/event-log.ts';
import { OperatorConfig } from '../../schemas/config.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { printable } from '../../schemas/printable.ts';
import { isBad } from '../export/event-records.ts';
import { writeArchive } from '../export/export-archive.ts';
import { readArchive } from '../export/read-archive.ts';
import { eventsOf, largestMemberBytes, type ReadExport, readExport } from '../export/read-export.ts';
import { firstDifference, type Wording, wordingNote } from '../reading/rendered-words.ts';
import { type VerifiedLog, verifyWithBlobs } from '../reading/verify-log.ts';
import {
  type ConfigPlaces,
  configFile,
  type FleetOptions,
  print,
  printJson,
  say,
  withSession,
} from './options.ts';
import type { Session } from './session.ts';

/** The log as it is now: every message of it, and those of them that are events. @param told instead of the session's own. */
const readWhole = async ({ log }: Session, told: LogReports = {}) => {
  const messages: KeptMessage[] = [];
  const events: LoggedEvent[] = [];
  const onCut = () => {
    messages.length = 0;
    events.length = 0;
  };
  const until = await log.lastSequence();
  const onMessage = (message: KeptMessage) => void messages.push(message);
  await log.follow({ until, onCut, onMessage, ...told }, (logged) => void events.push(logged));
  return { messages, events };
};

/** For who tells of all that is wrong afterwards. */
const quiet: LogReports = { onRefused: () => undefined, onAlarm: () => undefined, onLack: () => undefined };

/** A log that was checked, and what is no fault of it: texts of an export in other words than this version's. */
type VerifiedTexts = VerifiedLog & { notes: Wording[] };

const tellVerified = (
  what: string,
  { events, checkpoints, withheld, faults, notes }: VerifiedTexts,
): void => {
  for (const { sequence, subject, why } of faults)
    print(printable(`sequence ${sequence}${subject === undefined ? '' : `, ${subject}`}: ${why}`));
  for (const note of notes) print(printable(`note: ${wordingNote(what, note)}`));
  if (withheld.length > 0)
    say(`${withheld.join(', ')}: shown as hashes alone, nothing is to be concluded of it`);
  print(
    `${what}: ${events} events, ${checkpoints} checkpoints, ${faults.length === 0 ? 'nothing wrong' : `${faults.length} faults`}`,
  );
};

/** What an export holds besides its events is made again from them, and compared: facts have to be the same, words need not. */
const compareDerived = async (
  file: string,
  fleet: Fleet,
  note: string,
  read: ReadExport,
): Promise<Pick<VerifiedTexts, 'faults' | 'notes'>> => {
  const { derivedParts, exportedAt } = await loadExport();
  const { events } = await eventsOf(trustIn(fleet), read);
  const names = new Set(events.map(({ event }) => event.iteration));
  const shown = [...names].flatMap((name) => exportedAt(events, name) ?? []);
  const [exported] = shown;
  if (!exported || shown.length > 1)
    return { faults: [{ sequence: 0, why: `it shows ${shown.length} iterations, expected one` }], notes: [] };
  const compared: Pick<VerifiedTexts, 'faults' | 'notes'> = { faults: [], notes: [] };
  for (const { name, bytes, facts } of derivedParts(fleet.fleet, exported, events, note)) {
    const held = await readArchive(file, name, { limitBytes: largestMemberBytes });
    if (held && Buffer.compare(held, bytes) === 0) continue;
    const expected = Buffer.from(bytes).toString('utf8');
    const found = held?.toString('utf8');
    if (found !== undefined && facts(found) === facts(expected))
      compared.notes.push({ file: name, ...firstDifference(found, expected) });
    else compared.faults.push({ sequence: 0, why: `${name} is not what follows from the events` });
  }
  return compared;
};

/** What writes XML takes as long to load as all the rest of a command: it is loaded by those that need it. */
const loadExport = () => import('../export/export-iteration.ts');

const verifyExport = async (file: string, fleet: Fleet): Promise<VerifiedTexts> => {
  const read = await readExport(file);
  const { header } = read;
  const verified = await verifyWithBlobs(trustIn(fleet), read, read.readBlob);
  if (verified.faults.length > 0 || isBad(header)) return { ...verified, notes: [] };
  return { ...verified, ...(await compareDerived(file, fleet, header.note, read)) };
};

export interface ExportOptions extends FleetOptions {
  /** An export, which is read instead of a log. */
  from?: string;
  fleet?: string;
}

/** The fleet whose keys are pinned here: what comes with an export says nothing about whom to trust. */
export const pinnedFleet = (options: ExportOptions, places: ConfigPlaces): Fleet =>
  readConfigFile(
    options.fleet ?? readConfigFile(configFile(options, places), OperatorConfig).fleetFile,
    Fleet,
  );

/** `ka audit --verify`: checks every message of the log, or of an export. Exit code 1 if one is not as it has to be. */
export const verify = async (options: ExportOptions, places: ConfigPlaces): Promise<void> => {
  const { from } = options;
  const verified =
    from === undefined
      ? await withSession(options, places, async (session) => {
          const { messages } = await readWhole(session, quiet);
          const source = { records: messages };
          const checked = await verifyWithBlobs(trustIn(session.fleet), source, session.log.readBlob);
          return { ...checked, notes: [] };
        })
      : await verifyExport(from, pinnedFleet(options, places));
  if (options.json) printJson(verified);
  else tellVerified(from ?? 'the log', verified);
  if (verified.faults.length > 0) process.exitCode = 1;
};

export const addExportCommand = (program: Command, places: ConfigPlaces): void => {
  program
    .command('export')
    .description(
      'write an iteration as one archive: signed events, attestations, report, sweeps as KTAP, JUnit and KCIDB',
    )
    .argument('<iteration>')
    .option('--out <file>', 'the archive (default: ITERATION.tar in this folder)')
    .option('--force', 'overwrite an archive that is there')
    .option('--config <file>', "the command line's config")
    .option('--json', 'print one JSON document')
    .action((name: string, options: FleetOptions & { out?: string; force?: boolean }) =>
      withSession(options, places, async (session) => {
        const { exportIteration } = await loadExport();
        const { messages, events } = await readWhole(session);
        const file = options.out ?? `${name}.tar`;
        const parts = await exportIteration(
          session.fleet.fleet,
          name,
          messages,
          events,
          session.log.readBlob,
        );
        await writeArchive(file, parts, { overwrite: options.force === true });
        if (options.json) return printJson({ iteration: name, file, parts: parts.map((one) => one.name) });
        print(`${file}: ${parts.map((one) => one.name).join(', ')}`);
        print(`check it anywhere with: ka audit --verify --from ${file}`);
      }),
    );
};
