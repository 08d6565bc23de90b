import type { JournalDatabase } from './database.ts';

/** A checkpoint of the log that the coordinator has signed and this host has received. */
export interface KeptCheckpoint {
  epoch: number;
  /** How many messages it covers. */
  size: number;
  /** RFC 6962 root over them, base64. */
  root: string;
}

/** A journal's checkpoints: all that this host has ever received, so that repeats are recognized. */
export class Checkpoints {
  readonly #db: JournalDatabase;

  constructor(db: JournalDatabase) {
    this.#db = db;
  }

  /** The largest checkpoint of the last epoch. */
  last(): KeptCheckpoint | undefined {
    return this.#db
      .statement('SELECT epoch, size, root FROM checkpoint ORDER BY epoch DESC, size DESC LIMIT 1')
      .get() as KeptCheckpoint | undefined;
  }

  /** The root at this size, if there was such a checkpoint. */
  rootOf(epoch: number, size: number): string | undefined {
    return this.#db.values('SELECT root FROM checkpoint WHERE epoch = ? AND size = ?').get(epoch, size) as
      | string
      | undefined;
  }

  note({ epoch, size, root }: KeptCheckpoint): void {
    this.#db.statement('INSERT OR IGNORE INTO checkpoint VALUES (?, ?, ?)').run(epoch, size, root);
  }

  /** Notes which iterations go on, as a log of `size` messages has it. */
  noteTold(size: number, open: readonly string[]): void {
    this.#db.statement('INSERT OR REPLACE INTO told VALUES (1, ?, ?)').run(size, JSON.stringify(open));
  }

  /** Which iterations go on, as this host was told last; undefined if it never was. */
  told(): { size: number; open: string[] } | undefined {
    const row = this.#db.statement('SELECT size, open FROM told').get() as
      | { size: number; open: string }
      | undefined;
    return row && { size: row.size, open: JSON.parse(row.open) };
  }

  /** Why this host has stopped: the log is not the one that it knew. */
  fork(): { epoch: number; why: string } | undefined {
    return this.#db.statement('SELECT epoch, why FROM fork ORDER BY epoch DESC LIMIT 1').get() as
      | { epoch: number; why: string }
      | undefined;
  }

  noteFork(epoch: number, why: string): void {
    this.#db.statement('INSERT OR IGNORE INTO fork VALUES (?, ?)').run(epoch, why);
  }

  /** A later epoch has begun: the forks before it are settled. */
  settleForks(epoch: number): void {
    this.#db.statement('DELETE FROM fork WHERE epoch < ?').run(epoch);
  }
}
