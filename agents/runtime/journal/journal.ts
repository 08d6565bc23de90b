import { Blobs } from './blobs.ts';
import { Boots } from './boots.ts';
import { Checkpoints } from './checkpoints.ts';
import { type JournalDatabase, openDatabase } from './database.ts';
import { Effects } from './effects.ts';
import { Marks } from './marks.ts';
import { NewestKeys } from './newest-keys.ts';
import { OwnEvents } from './own-events.ts';
import { Requests } from './requests.ts';

/**
 * A host's own record, which survives crashes and power cuts: SQLite in WAL with `synchronous=FULL`, so that what was
 * written is on disk when a call returns, unless the call says otherwise. Its parts share one database, so that what
 * belongs together is one commit.
 */
export class Journal {
  readonly requests: Requests;
  readonly effects: Effects;
  readonly outbox: OwnEvents;
  readonly blobs: Blobs;
  readonly marks: Marks;
  readonly checkpoints: Checkpoints;
  readonly keys: NewestKeys;
  readonly boots: Boots;
  readonly #db: JournalDatabase;

  /**
   * @param file The journal's path; it is made if it is not there. `:memory:` for a journal that is not on disk.
   * @param open How it is opened.
   * @throws {JournalCorrupt} if the file is corrupt. @throws {Error} if it is of another version.
   */
  constructor(file: string, open: (file: string) => JournalDatabase = openDatabase) {
    const db = open(file);
    this.#db = db;
    this.blobs = new Blobs(db);
    this.marks = new Marks(db);
    this.requests = new Requests(db, this.marks);
    this.effects = new Effects(db, this.requests);
    this.outbox = new OwnEvents(db, this.requests);
    this.checkpoints = new Checkpoints(db);
    this.keys = new NewestKeys(db);
    this.boots = new Boots(db);
  }

  /** When this returns, everything that `work` writes is on the disk; if it is cut or throws, nothing is. */
  inOneCommit<Result>(work: () => Result): Result {
    return this.#db.inOneCommit(work);
  }

  close(): void {
    this.#db.close();
  }
}
