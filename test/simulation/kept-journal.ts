import { type JournalDatabase, openDatabase } from '../../agents/runtime/journal/database.ts';
import { Journal } from '../../agents/runtime/journal/journal.ts';

/** A real journal in memory, with a host's work before a schedule begins. */
export interface KeptJournal {
  /** The journal as read from outside the host. */
  journal: Journal;
  database: JournalDatabase;
  /** Begins a schedule, whose writes are undone at its end. */
  begin(): void;
  /** Ends a schedule: the journal is as before. */
  undo(): void;
}

export const createKeptJournal = (): KeptJournal => {
  const database = openDatabase(':memory:');
  const run = (sql: string) => void database.statement(sql).run();
  return {
    journal: new Journal(':memory:', () => database),
    database,
    // A commit within this transaction is a savepoint, which ends like a commit.
    begin: () => run('BEGIN'),
    undo: () => run('ROLLBACK'),
  };
};
