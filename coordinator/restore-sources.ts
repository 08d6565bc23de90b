import Database from 'better-sqlite3';
import type { KeptMessage } from '../eventlog/event-log.ts';
import { type Envelope, subjectOf } from '../schemas/events.ts';

/** A message that somebody still has. Its place in the log as it was is not always known. */
export interface HeldMessage extends Omit<KeptMessage, 'sequence'> {
  sequence: number | null;
  /** Who has it, for people. */
  from: string;
}

const openToRead = (file: string) => new Database(file, { readonly: true, fileMustExist: true });

/** What the coordinator's copy has, also of what the log lost before. */
export const readCopy = (file: string, from = "the coordinator's copy"): HeldMessage[] => {
  const db = openToRead(file);
  try {
    const rows = db
      .prepare(
        `SELECT sequence, subject, bytes, signature FROM lost
         UNION ALL SELECT sequence, subject, bytes, signature FROM message`,
      )
      .all() as KeptMessage[];
    return rows.map((row) => ({ ...row, from }));
  } finally {
    db.close();
  }
};

/** The coordinator's subjects are not in a journal: each follows from its event. */
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
 * What a host's journal has: the requests and supersessions that it noted, and its own events. Those that an older agent
 * noted without their signature can't be given back to the log.
 * @returns also how many those are.
 */
export const readJournal = (file: string, from: string): { held: HeldMessage[]; unsigned: number } => {
  const db = openToRead(file);
  try {
    const rows = (table: 'request' | 'superseded' | 'outbox') => {
      const there = db.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(table);
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
    return { held, unsigned };
  } finally {
    db.close();
  }
};
