import { resolve } from 'node:path';
import type { Command } from 'commander';
import { connectNats, type LogConnection } from '../../eventlog/connection/connect.ts';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import {
  type ClosedLog,
  closeLog,
  missingBlobs,
  putBlobsBack,
  readWholeLog,
  rebuildLog,
} from '../../eventlog/stream/rebuild-log.ts';
import type { BlobLookup } from '../../schemas/blob-marker.ts';
import { noIteration, personWriter } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import { sealDecided } from '../daemon/seal-decided.ts';
import { Refused } from '../refused.ts';
import { type MergedLog, mergeLog } from '../restore/merge-log.ts';
import {
  findBlob,
  gather,
  type HeldMessage,
  type HeldReader,
  type Source,
  saveMessages,
} from '../restore/restore-sources.ts';
import { type ConfigPlaces, configFile, print, printJson, say } from './options.ts';
import { foldLog, readControl } from './session.ts';
import { type BlobsMissing, missingCount, tellBlobs, tellEvents } from './tell-restore.ts';

/** Where the sources for a rebuilt log are found, unless they are named. */
export interface RestoreSources {
  /** The coordinator's copy of the log. */
  copy?: string;
  /** A host → its journal. */
  journals: Readonly<Record<string, string>>;
  /** The file with the administrator's NATS seed, which may replace the log. */
  adminSeed?: string;
}

/** What a restore needs to know about this machine and its agents. */
export interface RestoreMeans {
  sourcesOf: (configFile: string) => RestoreSources;
  journals: HeldReader;
}

interface RestoreOptions {
  write?: boolean;
  /** `false` for `--no-copy`. */
  copy?: string | false;
  journal?: string[];
  saved?: string[];
  adminSeed?: string;
  save?: string;
  as?: string;
  config?: string;
  json?: boolean;
}

/** The files to read, the better sources first. */
const sourcesToRead = (options: RestoreOptions, found: RestoreSources): Source[] => {
  const sources: Source[] = [];
  for (const file of options.saved ?? []) sources.push({ kind: 'saved', file, from: file, isNamed: true });
  const copy = options.copy ?? found.copy;
  if (copy)
    sources.push({
      kind: 'copy',
      file: copy,
      from: "the coordinator's copy",
      isNamed: options.copy !== undefined,
    });
  for (const file of options.journal ?? [])
    sources.push({ kind: 'journal', file, from: file, isNamed: true });
  if (!options.journal)
    for (const [host, file] of Object.entries(found.journals))
      sources.push({ kind: 'journal', file, from: `${host}'s journal`, isNamed: false });
  return sources;
};

const because = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Opens the log again as it was, if it was not replaced yet. @param again the command that repeats the restore. */
const reopenAfterFailure = async (closed: ClosedLog, again: string): Promise<void> => {
  try {
    if (!(await closed.reopen())) say(`the log was replaced and may be incomplete; next: ${again}`);
  } catch (error) {
    say(`the log stays closed (${because(error)}); next: ${again}`);
  }
};

/** What the log holds now, and everything that can be rebuilt. */
interface Gathered {
  /** Undefined if there is no log. */
  now: KeptMessage[] | undefined;
  merged: MergedLog;
  /** The highest epoch that a source knows of. */
  epoch: number;
  /** Finds a blob of the events in the sources. */
  findBlob: BlobLookup;
}

const gatherAll = async (
  connection: LogConnection,
  fleet: Fleet,
  sources: readonly Source[],
  journals: HeldReader,
): Promise<Gathered> => {
  const now = await readWholeLog(connection);
  const read = gather(sources, journals, ({ isNamed }, sentence) => {
    if (isNamed) throw new Refused(`${sentence}; next: name another file, or leave it out`);
    say(sentence);
  });
  const ofLog: HeldMessage[] = (now ?? []).map((message) => ({ ...message, from: 'the log' }));
  const merged = mergeLog(trustIn(fleet), ofLog.concat(read.held));
  return {
    now,
    merged,
    epoch: Math.max(merged.epoch, read.epoch),
    findBlob: (sha256) => findBlob(sources, journals, sha256),
  };
};

const lookForBlobs = async (
  connection: LogConnection,
  { fleet }: Fleet,
  { merged, findBlob: find }: Gathered,
): Promise<BlobsMissing> => {
  const putBack = new Set<string>();
  const lost: BlobsMissing['lost'] = [];
  for await (const { subject, sha256, bytes } of missingBlobs(connection, fleet, merged.events, find))
    if (bytes) putBack.add(sha256);
    else lost.push({ subject, sha256 });
  return { putBack: [...putBack], lost };
};

/** Replaces the log by the merged one. @returns the epoch that begins with it. */
const replaceLog = async (
  connection: LogConnection,
  { fleet, by, key }: ReturnType<typeof readControl>,
  { merged, epoch: known, findBlob: find }: Gathered,
): Promise<number> => {
  const state = foldLog(merged.events);
  const epoch = Math.max(state.epoch, known) + 1;
  const restored = sealDecided(
    {
      type: 'LogRestored',
      iteration: noIteration,
      attempt: epoch - 1,
      data: { epoch, by, rebuilt: merged.events.length, missing: missingCount(merged) },
    },
    { fleet: fleet.fleet, name: personWriter(by), key },
    state,
  );
  const lost = await putBlobsBack(connection, { fleet: fleet.fleet, limits: fleet.log }, merged.events, find);
  for (const { subject, sha256, why } of lost)
    say(`blob ${sha256} of ${subject} can't be put back: ${why}; that event is restored without it`);
  await rebuildLog(connection, { fleet: fleet.fleet, hosts: Object.keys(fleet.hosts), limits: fleet.log }, [
    ...merged.events,
    restored,
  ]);
  return epoch;
};

/** The order of the command: close the log, gather, report, save the present log, replace it. */
const restore = async (
  options: RestoreOptions,
  file: string,
  found: RestoreSources,
  journals: HeldReader,
): Promise<void> => {
  const control = readControl(file, options.as);
  const { fleet, nats } = control;
  const adminSeed = options.adminSeed ?? found.adminSeed;
  if (options.write && adminSeed === undefined)
    throw new Refused('only the administrator may replace the log: name the seed with --admin-seed');

  const connection = await connectNats(
    options.write && adminSeed !== undefined ? { ...nats, keyFile: adminSeed, name: 'admin' } : nats,
  );
  let closed: ClosedLog | undefined;
  let again = 'ka log restore --write';
  try {
    // From here on the log refuses appends, so none is lost: each writer repeats its own.
    if (options.write) closed = await closeLog(connection, fleet.fleet);
    const gathered = await gatherAll(connection, fleet, sourcesToRead(options, found), journals);
    const { now, merged } = gathered;
    if (!options.json) tellEvents(now, merged);
    const summary = {
      events: merged.events.length,
      missing: missingCount(merged),
      held: now?.length ?? null,
    };
    if (!options.write) {
      const blobs = await lookForBlobs(connection, fleet, gathered);
      if (options.json) return printJson({ ...summary, blobs, written: false });
      tellBlobs(blobs);
      return print('nothing was written; next: ka log restore --write');
    }
    if (merged.events.length === 0)
      throw new Refused(
        'no source holds an event of this fleet: name journals with --journal, or a copy with --copy',
      );
    if (now) {
      const kept =
        options.save ?? `ka-log-${fleet.fleet}-${new Date().toISOString().replaceAll(':', '')}.jsonl`;
      saveMessages(kept, now);
      again = `ka log restore --write --saved ${[...(options.saved ?? []), kept].join(' ')}`;
      say(`the log's present content is saved in ${kept}; if this is interrupted, next: ${again}`);
    }
    const epoch = await replaceLog(connection, control, gathered);
    if (options.json) printJson({ ...summary, written: true, epoch });
    else print(`the log is restored: ${merged.events.length} events, epoch ${epoch} begins`);
  } catch (error) {
    if (closed) await reopenAfterFailure(closed, again);
    throw error;
  } finally {
    await connection.close();
  }
};

/** `ka log restore`: rebuilds a lost log, or restores the events that it has lost. */
export const addRestoreCommand = (
  log: Command,
  places: ConfigPlaces,
  { sourcesOf, journals }: RestoreMeans,
): void => {
  log
    .command('restore')
    .description('rebuild a lost log from the events that hosts and the coordinator still hold')
    .option('--write', 'do it; without this, only report what would be done')
    .option('--copy <file>', "the coordinator's copy: log.db in its stateFolder")
    .option('--no-copy', "leave the coordinator's copy out")
    .option('--journal <file...>', "hosts' journals: journal.db in each one's stateFolder")
    .option('--saved <file...>', 'former content of the log: the file that an interrupted restore has saved')
    .option('--admin-seed <file>', "the administrator's key, an NKey seed, which may replace the log")
    .option('--save <file>', "where to save the log's present content")
    .option('--as <name>', 'who acts: a name whose key the config has')
    .action(async (_options: RestoreOptions, command: Command) => {
      const options: RestoreOptions = command.optsWithGlobals();
      const file = configFile(options, places);
      await restore(options, file, sourcesOf(resolve(file)), journals);
    });
};
