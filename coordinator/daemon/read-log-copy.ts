import Database from 'better-sqlite3';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';

const reading = <Result>(file: string, read: (db: Database.Database) => Result): Result => {
  const db = new Database(file, { readonly: true, fileMustExist: true });
  try {
    return read(db);
  } finally {
    db.close();
  }
};

/** Reads a coordinator's copy of the log from its file, also while the coordinator writes to it; see {@link LogCopy}. */
export const logCopyReader = {
  /** What the log held last, then what it had lost before. Nothing is checked. @throws if it can't be read. */
  messages: (file: string): { messages: KeptMessage[]; epoch: number } => ({
    messages: reading(
      file,
      (db) =>
        db
          .prepare(
            `SELECT sequence, subject, bytes, signature FROM
               (SELECT sequence, subject, bytes, signature, 0 AS place, 0 AS is_lost FROM message
                UNION ALL SELECT sequence, subject, bytes, signature, place, 1 FROM lost)
             ORDER BY is_lost, place, sequence`,
          )
          .all() as KeptMessage[],
    ),
    epoch: 1,
  }),
  /** @throws if it can't be read. */
  blob: (file: string, sha256: string): Uint8Array | undefined =>
    reading(
      file,
      (db) =>
        db.prepare('SELECT bytes FROM blob WHERE sha256 = ?').pluck().get(sha256) as Uint8Array | undefined,
    ),
};
