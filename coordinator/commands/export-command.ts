import type { Command } from 'commander';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { AlarmGroups } from '../../eventlog/grouped-alarms.ts';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import { OperatorConfig } from '../../schemas/config.ts';
import { type LoggedEvent, writerIn } from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { printable } from '../../schemas/printable.ts';
import { isBad } from '../export/event-records.ts';
import { writeArchive } from '../export/export-archive.ts';
import { readArchive } from '../export/read-archive.ts';
import { eventsOf, largestMemberBytes, type ReadExport, readExport } from '../export/read-export.ts';
import { firstDifference, type Wording, wordingNote } from '../reading/rendered-words.ts';
import {
  type AcknowledgedFlaw,
  createStreamedCheck,
  type LogFlaw,
  type VerifiedLog,
  verifyWithBlobs,
} from '../reading/verify-log.ts';
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

/** Reads the whole log as it is now: all messages, and those of them that are events. */
const readWhole = async ({ log, toItsEnd }: Session) => {
  const messages: KeptMessage[] = [];
  const events: LoggedEvent[] = [];
  const onCut = () => {
    messages.length = 0;
    events.length = 0;
  };
  const until = await log.lastSequence();
  const onMessage = (message: KeptMessage) => void messages.push(message);
  await toItsEnd(() => log.follow({ until, onCut, onMessage }, (logged) => void events.push(logged)));
  return { messages, events };
};

/** Checks every message of the log as it comes. */
export const verifyMessages = async ({ fleet, log }: Session): Promise<VerifiedLog> => {
  const begin = () => createStreamedCheck(trustIn(fleet), log.readBlob);
  let check = begin();
  const onCut = () => {
    check = begin();
  };
  await log.readMessages({ onMessage: (message) => check.take(message), onCut });
  return check.end();
};

/** A log that was checked, and the texts of an export that this version words differently, which is no fault. */
type VerifiedTexts = VerifiedLog & { notes: Wording[] };

/** One line for each fault, but for those of one writer with the same cause: they are one line. */
const faultLines = (faults: readonly LogFlaw[], acknowledged: readonly AcknowledgedFlaw[]): string[] => {
  const groups = new AlarmGroups();
  const lines: string[] = [];
  for (const { sequence, subject, cause, why } of [...faults, ...acknowledged].sort(
    (a, b) => a.sequence - b.sequence,
  )) {
    const what = `sequence ${sequence}${subject === undefined ? '' : `, ${subject}`}`;
    const writer = writerIn(subject);
    if (cause === undefined) lines.push(`${what}: ${why}`);
    else groups.note({ writer, cause, what, why, next: '', sequence });
  }
  for (const { sequence, by, because } of acknowledged) groups.acknowledge({ sequence, by, why: because });
  return [...lines, ...groups.lines('')];
};

const tellVerified = (
  what: string,
  { events, checkpoints, withheld, faults, acknowledged, notes }: VerifiedTexts,
): void => {
  for (const line of faultLines(faults, acknowledged)) print(printable(line));
  for (const note of notes) print(printable(`note: ${wordingNote(what, note)}`));
  if (withheld.length > 0) say(`${withheld.join(', ')}: shown only as hashes, which prove nothing about it`);
  print(
    `${what}: ${events} events, ${checkpoints} checkpoints, ${faults.length === 0 ? 'nothing wrong' : `${faults.length} faults`}${acknowledged.length === 0 ? '' : `, ${acknowledged.length} acknowledged`}`,
  );
};

/**
 * Makes the other parts of an export again from its events, and compares them. A different fact is a fault, a different
 * text a note.
 */
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

/** Loaded on demand: the XML writer takes as long to load as all the rest of a command. */
const loadExport = () => import('../export/export-iteration.ts');

const verifyExport = async (file: string, fleet: Fleet): Promise<VerifiedTexts> => {
  const read = await readExport(file);
  const { header } = read;
  const verified = await verifyWithBlobs(trustIn(fleet), read, read.readBlob);
  if (verified.faults.length > 0 || isBad(header)) return { ...verified, notes: [] };
  return { ...verified, ...(await compareDerived(file, fleet, header.note, read)) };
};

export interface ExportOptions extends FleetOptions {
  /** An export to read instead of the log. */
  from?: string;
  fleet?: string;
}

/** The fleet whose keys are pinned here. A fleet's file that comes with an export is no reason to trust it. */
export const pinnedFleet = (options: ExportOptions, places: ConfigPlaces): Fleet =>
  readConfigFile(
    options.fleet ?? readConfigFile(configFile(options, places), OperatorConfig).fleetFile,
    Fleet,
  );

/** `ka audit --verify`: checks every message of the log, or of an export. Exit code 1 if there is a fault. */
export const verify = async (options: ExportOptions, places: ConfigPlaces): Promise<void> => {
  const { from } = options;
  const verified =
    from === undefined
      ? await withSession(options, places, async (session) => ({
          ...(await verifyMessages(session)),
          notes: [],
        }))
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
