import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { createSayOnce } from '../../eventlog/say-once.ts';
import { completeEvent, type KeptMessage } from '../../eventlog/signing/check-event.ts';
import type { Blob } from '../../eventlog/signing/put-aside.ts';
import { leafOf } from '../../eventlog/tree/log-tree.ts';
import { type BlobMarker, blobsNamedBy, mayNameBlobs } from '../../schemas/blob-marker.ts';
import { type LoggedEvent, parseEvent, parseSubject } from '../../schemas/events.ts';

const schema = `
  -- \`leaf\` is the message's hash in the tree over the log. It shows whether the disk has changed the row.
  CREATE TABLE IF NOT EXISTS message (
    sequence INTEGER PRIMARY KEY, subject TEXT NOT NULL, bytes BLOB NOT NULL, signature TEXT NOT NULL,
    leaf BLOB NOT NULL, iteration TEXT NOT NULL, is_event INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS message_of ON message (iteration, sequence) WHERE is_event;
  -- The messages that the log has lost, in the order in which they were lost. A subject names one fact.
  CREATE TABLE IF NOT EXISTS lost (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    sequence INTEGER NOT NULL, subject TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL, signature TEXT NOT NULL
  ) STRICT;
  -- The blobs of all writers' events, by the sha256 of their bytes.
  CREATE TABLE IF NOT EXISTS blob (sha256 TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  -- The blobs that the coordinator's own events name, in the order of these events.
  CREATE TABLE IF NOT EXISTS own_blob (place INTEGER PRIMARY KEY AUTOINCREMENT, sha256 TEXT NOT NULL UNIQUE) STRICT;
`;

/** Of the tables above. A copy of another version is made anew. */
const version = 2;

/** A row of the table. */
type KeptRow = KeptMessage & { bytes: Buffer; leaf: Buffer; is_event: number };

const isEqual = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

class DamagedCopy extends Error {
  override readonly name = 'DamagedCopy';
}

const isDamaged = (error: unknown): boolean =>
  error instanceof DamagedCopy ||
  (error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code));

/** The writes of this time share one commit, and one fsync. */
const commitAfterMs = 5;

/** Calls back once, after this time. @returns a function that cancels it. */
type Later = (ms: number, call: () => void) => () => void;

const bySystemClock: Later = (ms, call) => {
  const timer = setTimeout(call, ms);
  return () => clearTimeout(timer);
};

/**
 * A copy of every message of the log, written as the log is read. It shows what the log has lost. It is a cache and may
 * be deleted at any time; the losses until then are then forgotten.
 */
export class LogCopy {
  readonly #db: Database.Database;
  #callOffCommit: (() => void) | undefined;
  #lost: number;
  readonly #onTrouble: (error: unknown) => void;
  readonly #later: Later;
  /** Prepared once: both statements run for every message, on every reading of the log. */
  readonly #find: Database.Statement;
  readonly #insert: Database.Statement;

  /**
   * @param file created if it does not exist; without one, the copy lasts as long as this process. Or an open database.
   * @param onTrouble receives the errors of commits in the background, which have no caller.
   */
  constructor(
    file: string | Database.Database = ':memory:',
    onTrouble: (error: unknown) => void = () => undefined,
    later: Later = bySystemClock,
  ) {
    this.#onTrouble = onTrouble;
    this.#later = later;
    this.#db = typeof file === 'string' ? new Database(file) : file;
    this.#db.pragma('journal_mode = WAL');
    this.#db.pragma('synchronous = FULL');
    if (this.#db.pragma('quick_check', { simple: true }) !== 'ok') throw new DamagedCopy('it is damaged');
    const found = this.#db.pragma('user_version', { simple: true });
    const isNew = this.#db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() === 0;
    if (!isNew && found !== version)
      throw new DamagedCopy(`it is of version ${found}, and this is ${version}`);
    this.#db.exec(schema);
    this.#db.pragma(`user_version = ${version}`);
    this.#lost = this.#db.prepare('SELECT count(*) FROM lost').pluck().get() as number;
    this.#find = this.#db.prepare('SELECT * FROM message WHERE sequence = ?');
    this.#insert = this.#db.prepare('INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?, ?, ?)');
  }

  #begin(): void {
    if (!this.#db.inTransaction) this.#db.exec('BEGIN');
    this.#callOffCommit ??= this.#later(commitAfterMs, () => {
      try {
        this.commit();
      } catch (error) {
        this.#onTrouble(error);
      }
    });
  }

  /** Commits the gathered writes to the disk. */
  commit(): void {
    this.#callOffCommit?.();
    this.#callOffCommit = undefined;
    if (this.#db.inTransaction) this.#db.exec('COMMIT');
  }

  #loseFrom(sequence: number): void {
    this.#db
      .prepare(
        `INSERT OR IGNORE INTO lost (sequence, subject, bytes, signature)
         SELECT sequence, subject, bytes, signature FROM message WHERE sequence >= ? ORDER BY sequence`,
      )
      .run(sequence);
    this.#db.prepare('DELETE FROM message WHERE sequence >= ?').run(sequence);
    this.#lost = this.#db.prepare('SELECT count(*) FROM lost').pluck().get() as number;
  }

  /**
   * Keeps a message that the log holds now.
   * @param isEvent whether it is an event of the writer that its subject names. @param leaf see {@link leafOf}.
   * @returns `cut` if the log held another message at that sequence before: everything that the copy has from there on
   * is lost.
   */
  keep(message: KeptMessage, isEvent = true, leaf = leafOf(message)): 'known' | 'new' | 'cut' {
    const { sequence, subject, bytes, signature } = message;
    const before = this.#find.get(sequence) as KeptRow | undefined;
    const isSame = before?.subject === subject && isEqual(before.bytes, bytes) && isEqual(before.leaf, leaf);
    if (isSame && Boolean(before.is_event) === isEvent) return 'known';
    this.#begin();
    // A row that the disk has changed does not show what the log held.
    const isOther = before !== undefined && !isSame && isEqual(leafOf(before), before.leaf);
    if (isOther) this.#loseFrom(sequence);
    const iteration = parseSubject(subject)?.iteration ?? '';
    this.#insert.run(sequence, subject, bytes, signature, leaf, iteration, isEvent ? 1 : 0);
    if (this.#lost > 0)
      this.#lost -= this.#db.prepare('DELETE FROM lost WHERE subject = ?').run(subject).changes;
    if (isOther) return 'cut';
    return before ? 'known' : 'new';
  }

  /** The events of an iteration, in their order. Each was checked when it was put here. @throws {DamagedCopy} */
  eventsOf(iteration: string): LoggedEvent[] {
    const rows = this.#db
      .prepare('SELECT * FROM message WHERE iteration = ? AND is_event ORDER BY sequence')
      .all(iteration) as KeptRow[];
    return rows.map((row) => this.#eventIn(row));
  }

  #eventIn(row: KeptRow): LoggedEvent {
    const { sequence, subject, bytes, signature, leaf } = row;
    if (!isEqual(leafOf(row), leaf))
      throw new DamagedCopy(`sequence ${sequence} of the copy of the log is not what was put there`);
    const logged = { sequence, subject, bytes, signature, event: parseEvent(bytes) };
    const completed = completeEvent(logged, this.blob);
    return 'logged' in completed ? completed.logged : logged;
  }

  /** Notes the log's last sequence. @returns false if the copy reaches beyond it: the log was cut. */
  endsAt(sequence: number): boolean {
    const beyond = this.#db.prepare('SELECT 1 FROM message WHERE sequence > ? LIMIT 1').get(sequence);
    if (beyond === undefined) return true;
    this.#begin();
    this.#loseFrom(sequence + 1);
    return false;
  }

  /** The messages that the log has lost and does not hold again, in their old order. */
  missing(): KeptMessage[] {
    if (this.#lost === 0) return [];
    return this.#db
      .prepare('SELECT sequence, subject, bytes, signature FROM lost ORDER BY place')
      .all() as KeptMessage[];
  }

  /** Gives up a lost message. */
  forget(subject: string): void {
    this.#begin();
    this.#lost -= this.#db.prepare('DELETE FROM lost WHERE subject = ?').run(subject).changes;
  }

  /** Gives up all lost messages. */
  forgetLost(): void {
    this.#begin();
    this.#db.prepare('DELETE FROM lost').run();
    this.#lost = 0;
  }

  /** Keeps blobs of events. The caller has checked their hashes. */
  keepBlobs(blobs: readonly Blob[]): void {
    if (blobs.length === 0) return;
    this.#begin();
    const insert = this.#db.prepare('INSERT OR IGNORE INTO blob VALUES (?, ?)');
    for (const { sha256, bytes } of blobs) insert.run(sha256, bytes);
  }

  readonly blob = (sha256: string): Uint8Array | undefined =>
    this.#db.prepare('SELECT bytes FROM blob WHERE sha256 = ?').pluck().get(sha256) as Uint8Array | undefined;

  /** Notes the blobs that an event of the coordinator names: it may have to put them back. */
  noteOwnBlobs(event: Uint8Array): void {
    if (!mayNameBlobs(event)) return;
    this.#begin();
    const insert = this.#db.prepare('INSERT OR IGNORE INTO own_blob (sha256) VALUES (?)');
    for (const { sha256 } of blobsNamedBy(event)) insert.run(sha256);
  }

  /** The blobs that the coordinator's own events name and this copy holds, newest first. */
  ownBlobs(): BlobMarker[] {
    return this.#db
      .prepare(
        'SELECT sha256, length(bytes) AS sizeBytes FROM own_blob JOIN blob USING (sha256) ORDER BY place DESC',
      )
      .all() as BlobMarker[];
  }

  close(): void {
    this.commit();
    this.#db.close();
  }
}

/**
 * Opens the copy. A damaged file is moved aside and replaced by an empty copy. If no file can be opened, the copy lasts
 * as long as this process.
 */
export const openLogCopy = (file: string | undefined, say: (text: string) => void): LogCopy => {
  if (file === undefined) return new LogCopy();
  const because = (error: unknown) => (error instanceof Error ? error.message : String(error));
  const keeping = createSayOnce(say);
  const open = () =>
    new LogCopy(file, (error) => keeping.trouble(error, `the copy of the log ${file} can't be kept: `));
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    try {
      return open();
    } catch (error) {
      if (!isDamaged(error)) throw error;
      const aside = `${file}.damaged-${Date.now()}`;
      for (const end of ['', '-wal', '-shm']) if (existsSync(file + end)) renameSync(file + end, aside + end);
      say(
        `the copy of the log ${file} can't be used (${because(error)}): it is now ${aside}, and a new one is made from the log`,
      );
      return open();
    }
  } catch (error) {
    say(
      `the copy of the log ${file} can't be opened (${because(error)}): losses of the log are noticed only while this process runs; make room there, then start the coordinator again`,
    );
    return new LogCopy();
  }
};
