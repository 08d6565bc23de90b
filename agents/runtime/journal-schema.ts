import Database from 'better-sqlite3';

const schema = `
  CREATE TABLE IF NOT EXISTS request (
    iteration TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    event_id TEXT NOT NULL, bytes BLOB NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, begun_at INTEGER,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'superseded')),
    noted INTEGER PRIMARY KEY AUTOINCREMENT,
    UNIQUE (iteration, step, attempt)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS effect (
    iteration TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL, name TEXT NOT NULL,
    before TEXT NOT NULL, result TEXT,
    PRIMARY KEY (iteration, step, attempt, name)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS superseded (
    iteration TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    PRIMARY KEY (iteration, step, attempt)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY, subject TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL, signature TEXT NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX IF NOT EXISTS unsent ON outbox (seq) WHERE sent = 0;
  CREATE TABLE IF NOT EXISTS boot (boot_id TEXT PRIMARY KEY, seen INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS checkpoint (
    epoch INTEGER NOT NULL, size INTEGER NOT NULL, root TEXT NOT NULL, PRIMARY KEY (epoch, size)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS fork (epoch INTEGER PRIMARY KEY, why TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS newest_key (writer TEXT PRIMARY KEY, public_key TEXT NOT NULL) STRICT;
`;

/** What later versions added: a journal of an earlier one gets it when it is opened. `sequence` is the log's. */
const addedColumns = {
  request: ['sequence INTEGER', 'signature TEXT'],
  superseded: ['sequence INTEGER', 'signature TEXT', 'bytes BLOB'],
  outbox: ['sequence INTEGER'],
} as const;

/** A journal's file is no database, or a broken one. */
export class JournalCorrupt extends Error {
  override readonly name = 'JournalCorrupt';
}

const isCorrupt = (error: unknown): boolean =>
  error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code);

/** There is no room for what an attempt needs besides its journal. */
export class NoRoom extends Error {
  override readonly name = 'NoRoom';
}

/** Whether a journal could not be written since its disk is full, or fails. */
export const isNoRoom = (error: unknown): boolean =>
  error instanceof NoRoom ||
  (error instanceof Database.SqliteError && /^SQLITE_(FULL|IOERR|CANTOPEN)/.test(error.code));

/**
 * Opens a journal's file, which is made if it is not there: WAL with `synchronous=FULL`, so that what was written is on
 * the disk when a call returns.
 * @throws {JournalCorrupt} if SQLite's quick_check finds a fault.
 */
export const openJournalFile = (file: string): Database.Database => {
  const db = new Database(file);
  try {
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    const found = db.pragma('quick_check(1)', { simple: true });
    if (found !== 'ok') throw new JournalCorrupt(`${file}: ${String(found)}`);
    db.exec(schema);
    for (const [table, columns] of Object.entries(addedColumns)) {
      const there = db.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(table);
      for (const column of columns)
        if (!there.includes(column.split(' ')[0])) db.exec(`ALTER TABLE ${table} ADD COLUMN ${column}`);
    }
    return db;
  } catch (error) {
    db.close();
    throw isCorrupt(error)
      ? new JournalCorrupt(`${file}: ${error instanceof Error ? error.message : error}`, { cause: error })
      : error;
  }
};
