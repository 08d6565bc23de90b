import { type JournalDatabase, openDatabase } from '../../agents/runtime/journal/database.ts';
import { Journal } from '../../agents/runtime/journal/journal.ts';

/** A real journal in memory, with what a host had done when a schedule begins. */
export interface KeptJournal {
  journal: Journal;
  /** A schedule begins: what it writes is undone at its end. */
  begin(): void;
  /** A schedule is over: the journal is as it was. */
  undo(): void;
}

export const createKeptJournal = (): KeptJournal => {
  let opened: JournalDatabase | undefined;
  const journal = new Journal(':memory:', (file) => {
    opened = openDatabase(file);
    return opened;
  });
  const run = (sql: string) => void opened?.statement(sql).run();
  // A commit within a transaction is a savepoint: it ends as a commit does.
  return { journal, begin: () => run('BEGIN'), undo: () => run('ROLLBACK') };
};
