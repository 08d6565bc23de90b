import type { Command } from 'commander';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import { createVerifier } from '../../eventlog/signing/verifier.ts';
import { createBlobReader, createBlobStore } from '../../eventlog/stream/blob-reader.ts';
import type { BlobSource } from '../../eventlog/stream/blobs.ts';
import type { LogReports } from '../../eventlog/stream/event-log.ts';
import { isWithheld } from '../../eventlog/tree/log-tree.ts';
import { largestBlobBytes } from '../../schemas/blob-marker.ts';
import { OperatorConfig } from '../../schemas/config.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { printable } from '../../schemas/printable.ts';
import { isBad, readEventRecords } from '../export/event-records.ts';
import { writeArchive } from '../export/export-archive.ts';
import { readArchive } from '../export/read-archive.ts';
import { type VerifiedLog, verifyWithBlobs } from '../reading/verify-log.ts';
import { Refused } from '../refused.ts';
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

/**
 * Reads the whole log as it is now: all messages, and those of them that are events.
 * @param told replaces the session's own reports.
 */
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

/** For callers that report all faults themselves afterwards. */
const quiet: LogReports = { onRefused: () => undefined, onAlarm: () => undefined, onLack: () => undefined };

const tellVerified = (what: string, { events, checkpoints, withheld, faults }: VerifiedLog): void => {
  for (const { sequence, subject, why } of faults)
    print(printable(`sequence ${sequence}${subject === undefined ? '' : `, ${subject}`}: ${why}`));
  if (withheld.length > 0) say(`${withheld.join(', ')}: shown only as hashes, which prove nothing about it`);
  print(
    `${what}: ${events} events, ${checkpoints} checkpoints, ${faults.length === 0 ? 'nothing wrong' : `${faults.length} faults`}`,
  );
};

/** Makes the other parts of an export again from its events, and compares them. @returns the differences. */
const derivedFaults = async (
  file: string,
  fleet: Fleet,
  note: string,
  log: readonly KeptMessage[],
  read: BlobSource,
) => {
  const { derivedParts, exportedAt } = await loadExport();
  const verifier = createVerifier(trustIn(fleet));
  const reader = createBlobReader(read, createBlobStore());
  const events: LoggedEvent[] = [];
  for (const message of log) {
    const verified = verifier.verify(message);
    if ('refused' in verified) continue;
    const completed = await reader.complete(verified.logged);
    if ('logged' in completed) events.push(completed.logged);
  }
  const names = new Set(events.map(({ event }) => event.iteration));
  const shown = [...names].flatMap((name) => exportedAt(events, name) ?? []);
  const [exported] = shown;
  if (!exported || shown.length > 1)
    return [{ sequence: 0, why: `it shows ${shown.length} iterations, expected one` }];
  const faults: { sequence: number; why: string }[] = [];
  for (const { name, bytes } of derivedParts(fleet.fleet, exported, events, note)) {
    const held = await readArchive(file, name, { limitBytes: largestMemberBytes });
    if (!held || Buffer.compare(held, bytes) !== 0)
      faults.push({ sequence: 0, why: `${name} is not what follows from the events` });
  }
  return faults;
};

/** Loaded on demand: the XML writer takes as long to load as all the rest of a command. */
const loadExport = () => import('../export/export-iteration.ts');

const largestMemberBytes = 512 * 1024 * 1024;

const verifyExport = async (file: string, fleet: Fleet): Promise<VerifiedLog> => {
  const { blobMember, eventsMember } = await loadExport();
  const bytes = await readArchive(file, eventsMember, { limitBytes: largestMemberBytes });
  if (!bytes) throw new Refused(`${file} holds no ${eventsMember}: it is no export of an iteration`);
  const { header, records } = readEventRecords(bytes);
  const all = [...records];
  const read: BlobSource = async (_, { sha256 }) => {
    const held = await readArchive(file, blobMember(sha256), { limitBytes: largestBlobBytes });
    return held ? { bytes: held } : { lacks: `${file} does not hold it` };
  };
  const verified = await verifyWithBlobs(trustIn(fleet), { header, records: all }, read);
  if (verified.faults.length > 0 || isBad(header)) return verified;
  const shown = all.flatMap((one) => (isBad(one) || isWithheld(one) ? [] : [one]));
  return { ...verified, faults: await derivedFaults(file, fleet, header.note, shown, read) };
};

interface VerifyOptions extends FleetOptions {
  from?: string;
  fleet?: string;
}

/** The fleet whose keys are pinned here. A fleet's file that comes with an export is no reason to trust it. */
const pinnedFleet = (options: VerifyOptions, places: ConfigPlaces): Fleet =>
  readConfigFile(
    options.fleet ?? readConfigFile(configFile(options, places), OperatorConfig).fleetFile,
    Fleet,
  );

/** `ka audit --verify`: checks every message of the log, or of an export. Exit code 1 if there is a fault. */
export const verify = async (options: VerifyOptions, places: ConfigPlaces): Promise<void> => {
  const { from } = options;
  const verified =
    from === undefined
      ? await withSession(options, places, async (session) => {
          const { messages } = await readWhole(session, quiet);
          return verifyWithBlobs(trustIn(session.fleet), { records: messages }, session.log.readBlob);
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
