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
  type JournalReader,
  type Source,
  saveMessages,
} from '../restore/restore-sources.ts';
import { type ConfigPlaces, configFile, print, printJson, say } from './options.ts';
import { foldLog, readControl } from './session.ts';
import { type BlobsMissing, missingCount, tellBlobs, tellEvents } from './tell-restore.ts';

/** Where what a log is rebuilt from is found, unless it is named. */
export interface RestoreSources {
  /** The coordinator's copy of the log. */
  copy?: string;
  /** A host → its journal. */
  journals: Readonly<Record<string, string>>;
  /** The NATS seed of who may make the log anew. */
  adminSeed?: string;
}

/** What a restore is given by who knows machines and agents. */
export interface RestoreMeans {
  sourcesOf: (configFile: string) => RestoreSources;
  journals: JournalReader;
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

/** The files to read, the better ones first. */
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

/** Leaves the log as it was, if it was not replaced yet. @param again the command that does it once more. */
const reopenAfterFailure = async (closed: ClosedLog, again: string): Promise<void> => {
  try {
    if (!(await closed.reopen())) say(`the log was replaced and may not be whole; next: ${again}`);
  } catch (error) {
    say(`the log stays closed (${because(error)}); next: ${again}`);
  }
};

/** What the log holds now, and all that can be rebuilt of it. */
interface Gathered {
  /** Undefined if there is no log. */
  now: KeptMessage[] | undefined;
  merged: MergedLog;
  /** The highest epoch that a source knows of. */
  epoch: number;
  /** Bytes that events have put aside, from whoever still has them. */
  findBlob: BlobLookup;
}

const gatherAll = async (
  connection: LogConnection,
  fleet: Fleet,
  sources: readonly Source[],
  journals: JournalReader,
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

/** Puts the log as it was gathered in the place of what is there. @returns the epoch that begins with it. */
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
  const lost = await putBlobsBack(connection, fleet.fleet, merged.events, find);
  for (const { subject, sha256, why } of lost)
    say(`blob ${sha256} of ${subject} can't be put back: ${why}; that event is there, and not whole`);
  await rebuildLog(connection, { fleet: fleet.fleet, hosts: Object.keys(fleet.hosts) }, [
    ...merged.events,
    restored,
  ]);
  return epoch;
};

/** The command's own order: close, gather, tell, keep, replace. */
const restore = async (
  options: RestoreOptions,
  file: string,
  found: RestoreSources,
  journals: JournalReader,
): Promise<void> => {
  const control = readControl(file, options.as);
  const { fleet, nats } = control;
  const adminSeed = options.adminSeed ?? found.adminSeed;
  if (options.write && adminSeed === undefined)
    throw new Refused('only the administrator may make the log anew: name the seed with --admin-seed');

  const connection = await connectNats(
    options.write && adminSeed !== undefined ? { ...nats, keyFile: adminSeed, name: 'admin' } : nats,
  );
  let closed: ClosedLog | undefined;
  let again = 'ka log restore --write';
  try {
    // What is said from here on is refused, and so not lost: its writer says it again.
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
        'nobody holds an event of this fleet: name journals with --journal, or a copy with --copy',
      );
    if (now) {
      const kept =
        options.save ?? `ka-log-${fleet.fleet}-${new Date().toISOString().replaceAll(':', '')}.jsonl`;
      saveMessages(kept, now);
      again = `ka log restore --write --saved ${[...(options.saved ?? []), kept].join(' ')}`;
      say(`what the log holds now is kept in ${kept}; should this be cut: ${again}`);
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

/** `ka log restore`: rebuilds a log that was lost, or brings back what it has lost. */
export const addRestoreCommand = (
  log: Command,
  places: ConfigPlaces,
  { sourcesOf, journals }: RestoreMeans,
): void => {
  log
    .command('restore')
    .description('rebuild a lost log from what hosts and the coordinator still hold of it')
    .option('--write', 'do it; otherwise it only says what would be')
    .option('--copy <file>', "the coordinator's copy: log.db in its stateFolder")
    .option('--no-copy', "leave the coordinator's copy out")
    .option('--journal <file...>', "hosts' journals: journal.db in each one's stateFolder")
    .option('--saved <file...>', 'what a log held before: the file that a restore which was cut has kept')
    .option('--admin-seed <file>', 'the key, an NKey seed, of who may make the log anew')
    .option('--save <file>', 'where what the log holds now is kept')
    .option('--as <name>', 'who does this: a name that the config has the key of')
    .action(async (_options: RestoreOptions, command: Command) => {
      const options: RestoreOptions = command.optsWithGlobals();
      const file = configFile(options, places);
      await restore(options, file, sourcesOf(resolve(file)), journals);
    });
};
