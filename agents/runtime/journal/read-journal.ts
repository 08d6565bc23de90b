import Database from 'better-sqlite3';
import type { AttemptId } from '../../../schemas/attempt-id.ts';

/** What others may read from a host's journal, whether or not its agent runs. */
export interface JournalReading {
  /** The attempts that are neither done nor superseded, oldest first. */
  open: AttemptId[];
  /** The subjects of the own events that are not in the log yet, oldest first. */
  unsent: string[];
  /** The journal's position: the log's highest sequence that is in it. */
  position: number;
}

/** Reads a journal without writing to it. @throws if it is not there, or is not a journal. */
export const readJournal = (file: string): JournalReading => {
  const db = new Database(file, { readonly: true, fileMustExist: true });
  try {
    return db.transaction(() => ({
      open: db
        .prepare<[], AttemptId>(
          "SELECT iteration, step, attempt FROM request WHERE state = 'open' ORDER BY noted",
        )
        .all(),
      unsent: db.prepare<[], string>('SELECT subject FROM outbox WHERE sent = 0 ORDER BY seq').pluck().all(),
      position: db.prepare<[], number>("SELECT value FROM mark WHERE name = 'position'").pluck().get() ?? 0,
    }))();
  } finally {
    db.close();
  }
};
