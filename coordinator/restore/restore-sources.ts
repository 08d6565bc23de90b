import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import Database from 'better-sqlite3';
import { z } from 'zod';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { type Envelope, subjectOf } from '../../schemas/events.ts';

/** A message that a source still has. Its former sequence is not always known. */
export interface HeldMessage extends Omit<KeptMessage, 'sequence'> {
  sequence: number | null;
  /** The source that has it, in words. */
  from: string;
}

/** A file that may hold events. */
export interface Source {
  kind: 'copy' | 'journal' | 'saved';
  file: string;
  /** The source's name for people. */
  from: string;
  /** A person named this file: if it can't be read, that is an error and not ignored. */
  isNamed: boolean;
}

/** What the sources hold. */
export interface Gathered {
  held: HeldMessage[];
  /** How many events have no signature there: they can't be put back into the log. */
  unsigned: number;
  /** The highest epoch that a host was told of. */
  epoch: number;
}

const openToRead = (file: string) => new Database(file, { readonly: true, fileMustExist: true });

/** Reads the coordinator's copy: what the log held last, then what it had lost before. */
const readCopy = ({ file, from }: Source): Gathered => {
  const db = openToRead(file);
  try {
    const rows = db
      .prepare(
        `SELECT sequence, subject, bytes, signature FROM
           (SELECT sequence, subject, bytes, signature, 0 AS place, 0 AS is_lost FROM message
            UNION ALL SELECT sequence, subject, bytes, signature, place, 1 FROM lost)
         ORDER BY is_lost, place, sequence`,
      )
      .all() as KeptMessage[];
    return { held: rows.map((row) => ({ ...row, from })), unsigned: 0, epoch: 1 };
  } finally {
    db.close();
  }
};

/** The subject of a coordinator's event, which a journal does not hold, computed from the event. */
const subjectIn = (bytes: Uint8Array): string => {
  const { fleet, source, ...event } = JSON.parse(new TextDecoder().decode(bytes)) as Envelope & {
    data: { host?: string };
  };
  const { host } = event.data;
  return subjectOf(fleet, source, {
    iteration: event.iteration,
    type: event.type as Parameters<typeof subjectOf>[2]['type'],
    attempt: event.attempt,
    ...(host === undefined ? {} : { host }),
  });
};

/**
 * Reads a host's journal: the requests and supersessions that it noted, and its own events. Those that an older agent
 * noted without their signature are only counted.
 */
const readJournal = ({ file, from }: Source): Gathered => {
  const db = openToRead(file);
  try {
    const columnsOf = (table: string) =>
      db.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(table);
    const rows = (table: 'request' | 'superseded' | 'outbox') => {
      const there = columnsOf(table);
      const wanted = ['bytes', 'signature', 'sequence', ...(table === 'outbox' ? ['subject'] : [])];
      const columns = wanted.map((name) => (there.includes(name) ? name : `NULL AS ${name}`));
      return db.prepare(`SELECT ${columns.join(', ')} FROM ${table} ORDER BY rowid`).all() as {
        bytes: Uint8Array | null;
        signature: string | null;
        sequence: number | null;
        subject?: string;
      }[];
    };
    const held: HeldMessage[] = [];
    let unsigned = 0;
    for (const { bytes, signature, sequence, subject } of [
      ...rows('request'),
      ...rows('superseded'),
      ...rows('outbox'),
    ])
      if (bytes === null || signature === null) unsigned += 1;
      else held.push({ sequence, subject: subject ?? subjectIn(bytes), bytes, signature, from });
    const epoch =
      columnsOf('mark').length > 0
        ? (db.prepare("SELECT value FROM mark WHERE name = 'epoch'").pluck().get() as number | undefined)
        : undefined;
    return { held, unsigned, epoch: epoch ?? 1 };
  } finally {
    db.close();
  }
};

const SavedMessage = z.object({
  sequence: z.int().min(1),
  subject: z.string(),
  signature: z.string(),
  bytes: z.base64(),
});

/** Saves the messages of a log in a new file, each as a line of JSON. They are on the disk when this returns. */
export const saveMessages = (file: string, messages: readonly KeptMessage[]): void => {
  const saved = openSync(file, 'wx');
  try {
    for (const { sequence, subject, bytes, signature } of messages) {
      const line = { sequence, subject, signature, bytes: Buffer.from(bytes).toString('base64') };
      writeSync(saved, `${JSON.stringify(line)}\n`);
    }
    fsyncSync(saved);
  } finally {
    closeSync(saved);
  }
};

/** Reads a file that {@link saveMessages} wrote. */
const readSaved = ({ file, from }: Source): Gathered => {
  const held = readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line, index): HeldMessage[] => {
      if (line === '') return [];
      try {
        const { bytes, ...message } = SavedMessage.parse(JSON.parse(line));
        return [{ ...message, bytes: Buffer.from(bytes, 'base64'), from }];
      } catch (cause) {
        throw new Error(`line ${index + 1} is no saved event`, { cause });
      }
    });
  return { held, unsigned: 0, epoch: 1 };
};

/** Finds a blob by its sha256 in the copy or the journals, which all store blobs under that name. */
export const findBlob = (sources: readonly Source[], sha256: string): Uint8Array | undefined => {
  for (const { kind, file } of sources) {
    if (kind === 'saved' || !existsSync(file)) continue;
    try {
      const db = openToRead(file);
      try {
        const found = db.prepare('SELECT bytes FROM blob WHERE sha256 = ?').pluck().get(sha256);
        if (found !== undefined) return found as Uint8Array;
      } finally {
        db.close();
      }
    } catch {
      // `gather` has reported that this source can't be read
    }
  }
  return undefined;
};

const readers = { copy: readCopy, journal: readJournal, saved: readSaved } as const;

/**
 * Reads sources, in their order.
 * @param onUnreadable called with a sentence for each source that can't be read; it may throw to end the reading.
 */
export const gather = (
  sources: readonly Source[],
  onUnreadable: (source: Source, sentence: string) => void,
): Gathered => {
  let all: Gathered = { held: [], unsigned: 0, epoch: 1 };
  for (const source of sources)
    try {
      if (!existsSync(source.file)) throw new Error('it is not there');
      const { held, unsigned, epoch } = readers[source.kind](source);
      all = {
        held: all.held.concat(held),
        unsigned: all.unsigned + unsigned,
        epoch: Math.max(all.epoch, epoch),
      };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      onUnreadable(source, `${source.file} can't be read (${why}): what only it has can't be rebuilt`);
    }
  return all;
};
