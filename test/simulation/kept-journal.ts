import { type JournalDatabase, openDatabase } from '../../agents/runtime/journal/database.ts';
import { Journal } from '../../agents/runtime/journal/journal.ts';

/** A real journal in memory, with what a host had done when a schedule begins. */
export interface KeptJournal {
  /** As one reads it who looks at the host from outside. */
  journal: Journal;
  database: JournalDatabase;
  /** A schedule begins: what it writes is undone at its end. */
  begin(): void;
  /** A schedule is over: the journal is as it was. */
  undo(): void;
}

export const createKeptJournal = (): KeptJournal => {
  const database = openDatabase(':memory:');
  const run = (sql: string) => void database.statement(sql).run();
  return {
    journal: new Journal(':memory:', () => database),
    database,
    // A commit within a transaction is a savepoint: it ends as a commit does.
    begin: () => run('BEGIN'),
    undo: () => run('ROLLBACK'),
  };
};
