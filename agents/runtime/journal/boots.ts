import type { JournalDatabase } from './database.ts';

/** The boots that a host's agent has seen. */
export class Boots {
  readonly #db: JournalDatabase;

  constructor(db: JournalDatabase) {
    this.#db = db;
  }

  /** Notes that this boot was seen. */
  note(bootId: string): void {
    this.#db
      .statement('INSERT INTO boot SELECT ?, count(*) + 1 FROM boot WHERE true ON CONFLICT DO NOTHING')
      .run(bootId);
  }

  /** The boots seen after `bootId`, oldest first. */
  after(bootId: string): string[] {
    return this.#db
      .values('SELECT boot_id FROM boot WHERE seen > (SELECT seen FROM boot WHERE boot_id = ?) ORDER BY seen')
      .all(bootId) as string[];
  }
}
