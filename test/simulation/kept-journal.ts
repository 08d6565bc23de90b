import type Database from 'better-sqlite3';
import { type JournalDatabase, openDatabase } from '../../agents/runtime/journal/database.ts';
import { Journal } from '../../agents/runtime/journal/journal.ts';

/** A real journal in memory, with a host's work before a schedule begins. */
export interface KeptJournal {
  /** The journal as read from outside the host. */
  journal: Journal;
  database: JournalDatabase;
  /** Begins a schedule, whose writes are undone at its end. */
  begin(): void;
  /** The host loses power: what is not on the disk is lost. */
  losePower(): void;
  /** Ends a schedule: the journal is as before. */
  undo(): void;
}

/** A database in memory that loses what is not on the disk, as one in a file does at a power cut. */
const withoutPower = (real: JournalDatabase) => {
  const run = (sql: string) => void real.statement(sql).run();
  /** Whether there is a savepoint, which holds what is on the disk. */
  let isBehind = false;
  /** How many commits the present one is part of. */
  let depth = 0;
  const within = <Result>(work: () => Result): Result => {
    depth += 1;
    try {
      return real.inOneCommit(work);
    } finally {
      depth -= 1;
    }
  };
  const sync = () => {
    if (isBehind) run('RELEASE on_disk');
    isBehind = false;
  };
  const synced = <Result>(work: () => Result): Result => {
    const result = work();
    if (depth === 0) sync();
    return result;
  };
  const statements = new Map<string, Database.Statement>();
  const syncing = (sql: string): Database.Statement => {
    const statement = real.statement(sql);
    return {
      run: (...values: unknown[]) => synced(() => statement.run(...values)),
      get: statement.get.bind(statement),
      all: statement.all.bind(statement),
    } as Database.Statement;
  };
  const database: JournalDatabase = {
    statement(sql) {
      const known = statements.get(sql) ?? syncing(sql);
      statements.set(sql, known);
      return known;
    },
    values: real.values,
    inOneCommit: (work) => synced(() => within(work)),
    withoutSync(work) {
      if (!isBehind && depth === 0) {
        run('SAVEPOINT on_disk');
        isBehind = true;
      }
      return within(work);
    },
    close: real.close,
  };
  return {
    database,
    losePower() {
      if (isBehind) run('ROLLBACK TO on_disk');
    },
    begin() {
      sync();
      run('BEGIN');
    },
    undo() {
      run('ROLLBACK');
      isBehind = false;
    },
  };
};

export const createKeptJournal = (): KeptJournal => {
  const { database, ...power } = withoutPower(openDatabase(':memory:'));
  // A commit within a schedule's transaction is a savepoint, which ends like a commit.
  return { journal: new Journal(':memory:', () => database), database, ...power };
};
