import Database from 'better-sqlite3';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import type { Blob } from '../../eventlog/signing/put-aside.ts';
import { leafOf } from '../../eventlog/tree/log-tree.ts';
import { type BlobMarker, blobsNamedBy, mayNameBlobs } from '../../schemas/blob-marker.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import type { Aside } from '../decider/ended-iterations.ts';
import { createFlush, type Flush } from './flush.ts';
import {
  DamagedCopy,
  eventOf,
  isEqual,
  isIntact,
  type KeptRow,
  markOf,
  mustBeChecked,
  rowOf,
} from './kept-row.ts';

const schema = `
  -- See KeptRow.
  CREATE TABLE IF NOT EXISTS message (
    sequence INTEGER PRIMARY KEY, subject TEXT NOT NULL, bytes BLOB NOT NULL, signature TEXT NOT NULL,
    leaf BLOB NOT NULL, iteration TEXT NOT NULL, seq INTEGER NOT NULL, checked BLOB NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS message_of ON message (iteration, sequence);
  -- The iterations that have ended, as the state keeps them, and the last of their events.
  CREATE TABLE IF NOT EXISTS ended (
    iteration TEXT PRIMARY KEY, up_to INTEGER NOT NULL, aside TEXT NOT NULL, checked BLOB NOT NULL
  ) STRICT;
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

/** The version of these tables. A copy of another version is replaced. */
const version = 3;

/** The writes of this time share one commit. */
const commitAfterMs = 5;

/** Calls back once, after this time. @returns a function that cancels it. */
type Later = (ms: number, call: () => void) => () => void;

const bySystemClock: Later = (ms, call) => {
  const timer = setTimeout(call, ms);
  return () => clearTimeout(timer);
};

/** A message of the copy. One of an ended iteration can be passed over: what the state keeps of the iteration comes with its end. */
export type KnownRow = KeptRow & { hash: string; passed?: true; ends?: Aside | undefined };

/**
 * A copy of every message of the log, written as the log is read. It shows what the log has lost. It is a cache and may
 * be deleted at any time; the losses until then are then forgotten.
 *
 * A commit does not wait for the disk, which would hold up every decision: the disk gets it at once, but beside other
 * work. So a power cut of the coordinator's machine loses the last few milliseconds of the copy, always from its end. A
 * log that has kept these messages delivers them again. A log on the same machine that has lost them too loses them
 * unnoticed by the coordinator; but their writers notice, since hosts keep their own events and requests on their disks,
 * and the last checkpoint that they have heard. Only the blobs of the coordinator's own events, which nobody else keeps,
 * are on the disk before the log names them.
 */
export class LogCopy {
  readonly #db: Database.Database;
  #callOffCommit: (() => void) | undefined;
  #lost: number;
  readonly #by: string;
  readonly #onTrouble: (error: unknown) => void;
  readonly #later: Later;
  readonly #flush: Flush | undefined;
  /** Prepared once: both statements run for every message, on every reading of the log. */
  readonly #find: Database.Statement;
  readonly #insert: Database.Statement;

  /**
   * @param file created if it does not exist; without one, the copy lasts as long as this process. Or an open database,
   * which is not checked as a whole: whoever reads a row checks it.
   * @param by names what messages are checked by, see {@link markOf}.
   * @param onTrouble receives the errors of commits in the background, which have no caller.
   */
  constructor(
    file: string | Database.Database = ':memory:',
    by = '',
    onTrouble: (error: unknown) => void = () => undefined,
    later: Later = bySystemClock,
  ) {
    this.#by = by;
    this.#onTrouble = onTrouble;
    this.#later = later;
    this.#db = typeof file === 'string' ? new Database(file) : file;
    this.#db.pragma('journal_mode = WAL');
    this.#db.pragma('synchronous = NORMAL');
    if (typeof file === 'string' && this.#db.pragma('quick_check', { simple: true }) !== 'ok')
      throw new DamagedCopy('it is damaged');
    const found = this.#db.pragma('user_version', { simple: true });
    const isNew = this.#db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() === 0;
    if (!isNew && found !== version)
      throw new DamagedCopy(`it is of version ${found}, and this is ${version}`);
    if (isNew) this.#db.exec(`BEGIN; ${schema} PRAGMA user_version = ${version}; COMMIT`);
    if (typeof file === 'string' && file !== ':memory:') this.#flush = createFlush(`${file}-wal`, onTrouble);
    this.#lost = this.#db.prepare('SELECT count(*) FROM lost').pluck().get() as number;
    this.#find = this.#db.prepare('SELECT * FROM message WHERE sequence = ?');
    this.#insert = this.#db.prepare(
      `INSERT OR REPLACE INTO message VALUES (@sequence, @subject, @bytes, @signature, @leaf, @iteration, @seq, @checked)`,
    );
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

  /** Commits the gathered writes, which are on the disk soon after. */
  commit(): void {
    this.#callOffCommit?.();
    this.#callOffCommit = undefined;
    if (!this.#db.inTransaction) return;
    this.#db.exec('COMMIT');
    this.#flush?.call();
  }

  #loseFrom(sequence: number): void {
    this.#db
      .prepare(
        `INSERT OR IGNORE INTO lost (sequence, subject, bytes, signature)
         SELECT sequence, subject, bytes, signature FROM message WHERE sequence >= ? ORDER BY sequence`,
      )
      .run(sequence);
    this.#db.prepare('DELETE FROM message WHERE sequence >= ?').run(sequence);
    this.#db.prepare('DELETE FROM ended WHERE up_to >= ?').run(sequence);
    this.#lost = this.#db.prepare('SELECT count(*) FROM lost').pluck().get() as number;
  }

  /**
   * Keeps a message that the log holds now.
   * @param seq its number among its writer's events; 0 if it is no event. @param leaf see {@link leafOf}.
   * @returns `cut` if the log held another message at that sequence before: everything that the copy has from there on
   * is lost.
   */
  keep(message: KeptMessage, seq: number, leaf = leafOf(message)): 'known' | 'new' | 'cut' {
    const row = rowOf(message, leaf, this.#by, seq);
    const before = this.#find.get(message.sequence) as KeptRow | undefined;
    const isSame = before?.subject === row.subject && isEqual(before.bytes, row.bytes);
    if (isSame && isEqual(before.checked, row.checked) && isIntact(before)) return 'known';
    this.#begin();
    // A row that the disk has changed does not show what the log held.
    const isOther = before !== undefined && !isSame && isIntact(before);
    if (isOther) this.#loseFrom(message.sequence);
    this.#insert.run(row);
    if (this.#lost > 0)
      this.#lost -= this.#db.prepare('DELETE FROM lost WHERE subject = ?').run(row.subject).changes;
    if (isOther) return 'cut';
    return before ? 'known' : 'new';
  }

  /** The events of an iteration, in their order. Each was checked when it was put here. @throws {DamagedCopy} */
  eventsOf(iteration: string): LoggedEvent[] {
    const rows = this.#db
      .prepare('SELECT * FROM message WHERE iteration = ? ORDER BY sequence')
      .all(iteration) as KeptRow[];
    for (const row of rows) mustBeChecked(row, this.#by);
    return rows.filter(({ seq }) => seq > 0).map((row) => eventOf(row, this.blob));
  }

  /** The messages at these sequences, in their order. Each was checked when it was put here. @throws {DamagedCopy} */
  at(sequences: readonly number[]): (KeptRow & { hash: string })[] {
    return sequences.map((sequence) => {
      const row = this.#find.get(sequence) as KeptRow | undefined;
      if (!row) throw new DamagedCopy(`the copy holds nothing at sequence ${sequence}`);
      return { ...row, hash: mustBeChecked(row, this.#by) };
    });
  }

  /** Keeps what the state keeps of an ended iteration. @param upTo the sequence of its last event. */
  keepEnded(iteration: string, upTo: number, aside: Aside): void {
    this.#begin();
    const text = JSON.stringify(aside);
    this.#db
      .prepare('INSERT OR REPLACE INTO ended VALUES (?, ?, ?, ?)')
      .run(iteration, upTo, text, this.#markOfEnded(iteration, upTo, text));
  }

  #markOfEnded(iteration: string, upTo: number, text: string): Uint8Array {
    return markOf(Buffer.from(JSON.stringify([iteration, text])), this.#by, upTo);
  }

  forgetEnded(iteration: string): void {
    this.#begin();
    this.#db.prepare('DELETE FROM ended WHERE iteration = ?').run(iteration);
  }

  #endedIterations(): Map<string, { upTo: number; aside: Aside }> {
    const rows = this.#db.prepare('SELECT iteration, up_to AS upTo, aside, checked FROM ended').all() as {
      iteration: string;
      upTo: number;
      aside: string;
      checked: Uint8Array;
    }[];
    return new Map(
      rows
        .filter(({ iteration, upTo, aside, checked }) =>
          isEqual(checked, this.#markOfEnded(iteration, upTo, aside)),
        )
        .map(({ iteration, upTo, aside }) => [iteration, { upTo, aside: JSON.parse(aside) as Aside }]),
    );
  }

  /**
   * All messages of the log as far as this copy reaches, in their order. Each is the one that was checked when it was put
   * here. Of iterations that have ended, the events are passed over and what the state keeps comes with the last one.
   * @throws {DamagedCopy} at the first message that is not.
   */
  *known(): Generator<KnownRow> {
    const ended = this.#endedIterations();
    const page = this.#db.prepare('SELECT * FROM message WHERE sequence >= ? ORDER BY sequence LIMIT 256');
    let next = 1;
    // Whoever takes a row may write to this copy, which no statement that is still running would let it do.
    for (let rows = page.all(next) as KeptRow[]; rows.length > 0; rows = page.all(next) as KeptRow[])
      for (const row of rows) {
        if (row.sequence !== next) throw new DamagedCopy(`the copy holds nothing at sequence ${next}`);
        const known = { ...row, hash: mustBeChecked(row, this.#by) };
        next += 1;
        const of = ended.get(row.iteration);
        if (row.seq === 0 || of === undefined || row.sequence > of.upTo) yield known;
        else {
          const isEnd = row.sequence === of.aside.iteration.ended.sequence;
          yield { ...known, passed: true, ends: isEnd ? of.aside : undefined };
        }
      }
  }

  /** Forgets every message, so that the copy is made again as the log is read. What is lost stays known. */
  startAnew(): void {
    this.#begin();
    this.#db.exec('DELETE FROM message; DELETE FROM ended');
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

  /** Keeps blobs of an event that the coordinator is about to append. They are on the disk when this returns. */
  keepOwnBlobs(blobs: readonly Blob[]): void {
    if (blobs.length === 0) return;
    this.keepBlobs(blobs);
    this.commit();
    this.#flush?.now();
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
    this.#flush?.close();
    this.#db.close();
  }
}
