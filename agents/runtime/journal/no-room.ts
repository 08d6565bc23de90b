import Database from 'better-sqlite3';

/** There is no room for something that an attempt needs besides its journal. */
export class NoRoom extends Error {
  override readonly name = 'NoRoom';
}

/** Whether a journal could not be written because its disk is full or fails. */
export const isNoRoom = (error: unknown): boolean =>
  error instanceof NoRoom ||
  (error instanceof Database.SqliteError && /^SQLITE_(FULL|IOERR|CANTOPEN)/.test(error.code));
