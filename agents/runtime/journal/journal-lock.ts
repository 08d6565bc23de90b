import { readFileSync, writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';

/**
 * Takes a journal for this process, until it ends in whatever way: the kernel lets go of SQLite's lock on the file beside
 * it. The journal itself stays readable for others.
 * @returns the way to let go of it. @throws if another process has it, naming that one's pid.
 */
export const lockJournal = (file: string): (() => void) => {
  const pidFile = `${file}.pid`;
  const db = new Database(`${file}.lock`, { timeout: 0 });
  try {
    db.pragma('journal_mode = MEMORY'); // nothing is ever written into it
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    if (!(error instanceof Database.SqliteError) || error.code !== 'SQLITE_BUSY') throw error;
    let holder = 'another process';
    try {
      holder = `process ${readFileSync(pidFile, 'utf8').trim()}`;
    } catch {
      // it has not said who it is
    }
    throw new Error(`${file} is in use by ${holder}: stop that agent first`, { cause: error });
  }
  try {
    writeFileSync(pidFile, `${process.pid}\n`);
  } catch {
    // A full disk: the pid is for people alone.
  }
  return () => void db.close();
};
