import { readFileSync, writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';

/**
 * Locks a journal for this process. The lock is SQLite's, on a file beside the journal, and the kernel releases it
 * however the process ends. The journal itself stays readable for others.
 * @returns a function that releases the lock. @throws if another process has it, naming its pid.
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
      // it has not written its pid
    }
    throw new Error(`${file} is in use by ${holder}: stop that agent first`, { cause: error });
  }
  try {
    writeFileSync(pidFile, `${process.pid}\n`);
  } catch {
    // The disk may be full. The pid is only for people.
  }
  return () => void db.close();
};
