import Database from 'better-sqlite3';

/** The version of the journal's schema, in SQLite's `user_version`. */
const version = 2;

const schema = `
  CREATE TABLE request (
    iteration TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    event_id TEXT NOT NULL, bytes BLOB NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, begun_at INTEGER,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'superseded')),
    noted INTEGER PRIMARY KEY AUTOINCREMENT,
    sequence INTEGER, signature TEXT,
    UNIQUE (iteration, step, attempt)
  ) STRICT;
  CREATE INDEX open_request ON request (noted) WHERE state = 'open';
  CREATE TABLE effect (
    iteration TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL, name TEXT NOT NULL,
    before TEXT NOT NULL, result TEXT,
    PRIMARY KEY (iteration, step, attempt, name)
  ) STRICT;
  CREATE TABLE superseded (
    iteration TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    sequence INTEGER, signature TEXT, bytes BLOB,
    PRIMARY KEY (iteration, step, attempt)
  ) STRICT;
  CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY, subject TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL, signature TEXT NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0, sequence INTEGER
  ) STRICT;
  CREATE INDEX unsent ON outbox (seq) WHERE sent = 0;
  -- What requests and own events have put aside, by the sha256 of its bytes, which those name.
  CREATE TABLE blob (sha256 TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE boot (boot_id TEXT PRIMARY KEY, seen INTEGER NOT NULL) STRICT;
  CREATE TABLE checkpoint (
    epoch INTEGER NOT NULL, size INTEGER NOT NULL, root TEXT NOT NULL, PRIMARY KEY (epoch, size)
  ) STRICT;
  CREATE TABLE fork (epoch INTEGER PRIMARY KEY, why TEXT NOT NULL) STRICT;
  CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
  CREATE TABLE newest_key (writer TEXT PRIMARY KEY, public_key TEXT NOT NULL) STRICT;
`;

/** What came later, and what an older agent does not miss: it is made where it is not there. */
const since = `
  -- The iterations that go on, as the coordinator said last of those that this host has to do with.
  CREATE TABLE IF NOT EXISTS told (
    id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, open TEXT NOT NULL
  ) STRICT;
  -- When the log's server stored a request, in milliseconds since 1970.
  CREATE TABLE IF NOT EXISTS asked_at (
    iteration TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (iteration, step, attempt)
  ) STRICT;
  -- A place in the log stands behind the request's bytes in its row: without this, to look for one reads them all.
  CREATE INDEX IF NOT EXISTS request_place ON request (sequence, iteration);
`;

/** A journal's file is not a database, or a broken one. */
export class JournalCorrupt extends Error {
  override readonly name = 'JournalCorrupt';
}

const isCorrupt = (error: unknown): boolean =>
  error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code);

/** @throws {Error} if the file is a journal of another version, or from before there were versions. */
export const checkVersion = (db: Database.Database, file: string): void => {
  const found = db.pragma('user_version', { simple: true });
  if (found !== version)
    throw new Error(`${file} is a journal of version ${String(found)}; this version reads ${version}`);
};

/** Makes the tables in a new file. @throws {Error} like {@link checkVersion}. */
const bringToVersion = (db: Database.Database, file: string): void => {
  const isEmpty = db.prepare('SELECT 1 FROM sqlite_schema').get() === undefined;
  if (isEmpty)
    db.transaction(() => {
      db.exec(schema);
      db.pragma(`user_version = ${version}`);
    })();
  checkVersion(db, file);
  db.exec(since);
};

/** A journal's database, for the parts of the journal. */
export interface JournalDatabase {
  /** Returns the statement with this text, which is prepared only once. */
  statement(sql: string): Database.Statement;
  /** The same, but each row is only its first column. */
  values(sql: string): Database.Statement;
  /** When this returns, everything that `work` writes is on the disk; if it is cut or throws, nothing is. */
  inOneCommit<Result>(work: () => Result): Result;
  /**
   * Like `inOneCommit`, but does not wait for the disk: a power cut may undo it until the next commit. Only for what does
   * no harm if it is undone.
   */
  withoutSync<Result>(work: () => Result): Result;
  close(): void;
}

const over = (db: Database.Database): JournalDatabase => {
  const prepared = new Map<string, Database.Statement>();
  const statement = (sql: string) => {
    const known = prepared.get(sql);
    if (known) return known;
    const made = db.prepare(sql);
    prepared.set(sql, made);
    return made;
  };
  const commit = db.transaction((work: () => unknown) => work());
  return {
    statement,
    values: (sql) => prepared.get(sql) ?? statement(sql).pluck(),
    inOneCommit: <Result>(work: () => Result) => commit(work) as Result,
    withoutSync: <Result>(work: () => Result) => {
      if (db.inTransaction) return work(); // it is part of that commit
      db.exec('PRAGMA synchronous = NORMAL');
      try {
        return commit(work) as Result;
      } finally {
        db.exec('PRAGMA synchronous = FULL');
      }
    },
    close: () => void db.close(),
  };
};

/**
 * Opens a journal's file, and makes it if it is not there: WAL with `synchronous=FULL`, so that what was written is on
 * the disk when a call returns. With `:memory:` the journal ends with its process.
 * @throws {JournalCorrupt} if SQLite's quick_check finds a fault. @throws {Error} if it is of another version.
 */
export const openDatabase = (file: string): JournalDatabase => {
  const db = new Database(file);
  try {
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    const found = db.pragma('quick_check(1)', { simple: true });
    if (found !== 'ok') throw new JournalCorrupt(`${file}: ${String(found)}`);
    bringToVersion(db, file);
    return over(db);
  } catch (error) {
    db.close();
    throw isCorrupt(error)
      ? new JournalCorrupt(`${file}: ${error instanceof Error ? error.message : error}`, { cause: error })
      : error;
  }
};
