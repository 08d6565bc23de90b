import Database from 'better-sqlite3';
import type { KeptMessage } from '../../../eventlog/signing/check-event.ts';
import type { AttemptId } from '../../../schemas/attempt-id.ts';
import { type Envelope, subjectOf } from '../../../schemas/events.ts';
import { checkVersion } from './database.ts';
import type { LogPlace } from './log-place.ts';

/** What others may read from a host's journal, whether or not its agent runs. */
export interface JournalReading {
  /** The attempts that are neither done nor superseded, oldest first. */
  open: AttemptId[];
  /** The subjects of the own events that are not in the log yet, oldest first. */
  unsent: string[];
  /** The journal's position: the log's highest sequence that is in it. */
  position: number;
}

/** What a journal holds of the log. */
export interface JournalMessages {
  /** The noted requests and supersessions, then the own events. One that was not appended yet has no sequence. */
  messages: (Omit<KeptMessage, 'sequence'> & { sequence: number | null })[];
  /** The log's highest epoch that the host was told. */
  epoch: number;
}

/** Reads a journal without writing to it. @throws if it is not there, or is not a journal of this version. */
const reading = <Result>(file: string, work: (db: Database.Database) => Result): Result => {
  const db = new Database(file, { readonly: true, fileMustExist: true });
  try {
    checkVersion(db, file);
    return db.transaction(() => work(db))();
  } finally {
    db.close();
  }
};

const markIn = (db: Database.Database, name: string): number | undefined =>
  db.prepare<[string], number>('SELECT value FROM mark WHERE name = ?').pluck().get(name);

/** @throws if it is not there, or is not a journal of this version. */
export const readJournal = (file: string): JournalReading =>
  reading(file, (db) => ({
    open: db
      .prepare<[], AttemptId>(
        "SELECT iteration, step, attempt FROM request WHERE state = 'open' ORDER BY noted",
      )
      .all(),
    unsent: db.prepare<[], string>('SELECT subject FROM outbox WHERE sent = 0 ORDER BY seq').pluck().all(),
    position: markIn(db, 'position') ?? 0,
  }));

/** The subject of a coordinator's event, which a journal does not hold, computed from the event. */
const subjectIn = (bytes: Uint8Array): string => {
  const { fleet, source, iteration, type, attempt, data } = JSON.parse(
    new TextDecoder().decode(bytes),
  ) as Envelope & { data: { host: string } };
  return subjectOf(fleet, source, { iteration, type, attempt, host: data.host } as Parameters<
    typeof subjectOf
  >[2]);
};

/** @throws if it is not there, or is not a journal of this version. */
export const readJournalMessages = (file: string): JournalMessages =>
  reading(file, (db) => ({
    messages: [
      ...['request', 'superseded'].flatMap((table) =>
        db
          .prepare<[], LogPlace & { bytes: Uint8Array }>(
            `SELECT sequence, bytes, signature FROM ${table} WHERE signature IS NOT NULL ORDER BY sequence`,
          )
          .all()
          .map((message) => ({ ...message, subject: subjectIn(message.bytes) })),
      ),
      ...db
        .prepare<[], JournalMessages['messages'][number]>(
          'SELECT sequence, subject, bytes, signature FROM outbox ORDER BY seq',
        )
        .all(),
    ],
    epoch: markIn(db, 'epoch') ?? 1,
  }));

/**
 * A blob of one of those messages; undefined if the journal does not hold it. @throws if it is not a journal of this
 * version.
 */
export const readJournalBlob = (file: string, sha256: string): Uint8Array | undefined =>
  reading(file, (db) =>
    db.prepare<[string], Uint8Array>('SELECT bytes FROM blob WHERE sha256 = ?').pluck().get(sha256),
  );
