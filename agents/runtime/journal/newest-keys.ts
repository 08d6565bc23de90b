import type { JournalDatabase } from './database.ts';

/** For each writer, the newest key that signed something for this host. */
export class NewestKeys {
  readonly #db: JournalDatabase;

  constructor(db: JournalDatabase) {
    this.#db = db;
  }

  /** @returns undefined before the first. */
  of(writer: string): string | undefined {
    return this.#db.values('SELECT public_key FROM newest_key WHERE writer = ?').get(writer) as
      | string
      | undefined;
  }

  note(writer: string, publicKey: string): void {
    this.#db
      .statement(
        'INSERT INTO newest_key VALUES (?, ?) ON CONFLICT (writer) DO UPDATE SET public_key = excluded.public_key',
      )
      .run(writer, publicKey);
  }
}
