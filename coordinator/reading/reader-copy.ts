import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { sha256 } from '../../schemas/hash.ts';
import { DamagedCopy, isEqual, markOf } from '../daemon/kept-row.ts';
import { LogCopy } from '../daemon/log-copy.ts';
import { isDamaged } from '../daemon/open-log-copy.ts';

const schema = `
  CREATE INDEX IF NOT EXISTS message_under ON message (subject);
  -- Where the copy ends, and the state there without the iterations below.
  CREATE TABLE IF NOT EXISTS place (id INTEGER PRIMARY KEY CHECK (id = 1), text TEXT NOT NULL, checked BLOB NOT NULL) STRICT;
  -- The iterations that have ended: what the state keeps of them, and what is shown.
  CREATE TABLE IF NOT EXISTS shown (
    iteration TEXT PRIMARY KEY, digest TEXT NOT NULL, text TEXT NOT NULL, checked BLOB NOT NULL
  ) STRICT;
  -- What few readers ask for.
  CREATE TABLE IF NOT EXISTS details (iteration TEXT PRIMARY KEY, text TEXT NOT NULL, checked BLOB NOT NULL) STRICT;
`;

/** Nothing is committed before the copy is closed. */
const never = () => () => undefined;

/**
 * A person's own copy of the log: a {@link LogCopy}, and beside it the state that the log folds to. It is written in one
 * transaction, from opening to closing: of several `ka` at the same time one writes, and the others read what was there.
 * It is a cache and may be deleted at any time.
 */
export class ReaderCopy {
  readonly log: LogCopy;
  /** Whether this process may write. */
  readonly isWriter: boolean;
  readonly #db: Database.Database;
  readonly #by: string;

  /** @param by names what messages are checked by, see {@link markOf}. */
  constructor(db: Database.Database, by: string) {
    this.#db = db;
    this.#by = by;
    this.log = new LogCopy(db, by, undefined, never);
    if (db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'place'").get() === undefined) db.exec(schema);
    db.pragma('synchronous = OFF'); // what a power cut leaves is checked when it is read
    this.isWriter = this.#begin();
  }

  #begin(): boolean {
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      return true;
    } catch (error) {
      if (!(error instanceof Database.SqliteError) || !error.code.startsWith('SQLITE_BUSY')) throw error;
      this.#db.exec('BEGIN');
      return false;
    }
  }

  #markOf(name: string, text: string): Uint8Array {
    return markOf(Buffer.from(sha256(`${name}\n${text}`)), this.#by, 0);
  }

  #mustBeMarked(name: string, { text, checked }: { text: string; checked: Uint8Array }): string {
    if (checked && isEqual(checked, this.#markOf(name, text))) return text;
    throw new DamagedCopy(`${name} of the copy of the log is not what was kept`);
  }

  /** What was kept as its place; undefined if nothing was. @throws {DamagedCopy} */
  place(): string | undefined {
    const row = this.#db.prepare('SELECT text, checked FROM place').get();
    return row ? this.#mustBeMarked('the place', row as { text: string; checked: Uint8Array }) : undefined;
  }

  keepPlace(text: string): void {
    this.#db
      .prepare('INSERT OR REPLACE INTO place VALUES (1, ?, ?)')
      .run(text, this.#markOf('the place', text));
  }

  /** What was kept of each ended iteration. @throws {DamagedCopy} */
  shown(): string[] {
    return this.#marked('SELECT iteration, text, checked FROM shown');
  }

  /** What was kept beside that, in the same order. @throws {DamagedCopy} */
  details(): string[] {
    return this.#marked(
      'SELECT iteration, details.text, details.checked FROM shown LEFT JOIN details USING (iteration)',
    );
  }

  #marked(query: string): string[] {
    const rows = this.#db.prepare(query).all() as { iteration: string; text: string; checked: Uint8Array }[];
    return rows.map((row) => this.#mustBeMarked(row.iteration, row));
  }

  /** Whether that is kept of the iteration as it is. @param digest of its events. */
  isShown(iteration: string, digest: string): boolean {
    const found = this.#db.prepare('SELECT 1 FROM shown WHERE iteration = ? AND digest = ?');
    return found.get(iteration, digest) !== undefined;
  }

  keepShown(iteration: string, digest: string, text: string, details: string): void {
    this.#db
      .prepare('INSERT OR REPLACE INTO shown VALUES (?, ?, ?, ?)')
      .run(iteration, digest, text, this.#markOf(iteration, text));
    this.#db
      .prepare('INSERT OR REPLACE INTO details VALUES (?, ?, ?)')
      .run(iteration, details, this.#markOf(iteration, details));
  }

  forgetShown(iteration: string): void {
    this.#db.prepare('DELETE FROM shown WHERE iteration = ?').run(iteration);
  }

  /** The sequence of the first message under a subject. */
  readonly firstUnder = (subject: string): number | undefined => {
    const find = this.#db.prepare('SELECT min(sequence) FROM message WHERE subject = ?').pluck();
    return (find.get(subject) ?? undefined) as number | undefined;
  };

  /** Forgets everything: the copy is made again as the log is read. */
  startAnew(): void {
    this.log.startAnew();
    this.#db.exec('DELETE FROM place; DELETE FROM shown');
  }

  /** @param keeps whether what was written counts. */
  close(keeps: boolean): void {
    try {
      if (this.#db.inTransaction) this.#db.exec(keeps ? 'COMMIT' : 'ROLLBACK');
    } catch {
      // What could not be written is read from the log the next time.
    }
    this.#db.close();
  }
}

/** Removes a copy that is damaged, so that a new one is made. */
export const removeReaderCopy = (file: string): void => {
  for (const end of ['', '-wal', '-shm']) rmSync(file + end, { force: true });
};

/**
 * Opens a person's copy. One that can't be read is replaced by an empty one.
 * @returns undefined if there can be none: the log is then read without it.
 */
export const openReaderCopy = (file: string, by: string): ReaderCopy | undefined => {
  const open = () => {
    const db = new Database(file, { timeout: 0 }); // nobody waits for a cache
    try {
      return new ReaderCopy(db, by);
    } catch (error) {
      db.close();
      throw error;
    }
  };
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    try {
      return open();
    } catch (error) {
      if (!isDamaged(error)) throw error;
      removeReaderCopy(file);
      return open();
    }
  } catch {
    return undefined; // no room, no right, or another ka is just making it
  }
};
