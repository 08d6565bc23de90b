import type { AttemptId } from '../../../schemas/attempt-id.ts';
import type { JournalDatabase } from './database.ts';
import type { Requests } from './requests.ts';

/** The entry of one effect of one attempt: an intent, and a result once it is done. Values are JSON text. */
export interface EffectEntry {
  before: string;
  result: string | null;
}

/** A journal's effects: what was done for its requests. */
export class Effects {
  readonly #db: JournalDatabase;
  readonly #requests: Requests;

  constructor(db: JournalDatabase, requests: Requests) {
    this.#db = db;
    this.#requests = requests;
  }

  of({ iteration, step, attempt }: AttemptId, name: string): EffectEntry | undefined {
    return this.#db
      .statement(
        'SELECT before, result FROM effect WHERE iteration = ? AND step = ? AND attempt = ? AND name = ?',
      )
      .get(iteration, step, attempt, name) as EffectEntry | undefined;
  }

  noteIntent({ iteration, step, attempt }: AttemptId, name: string, before: string): void {
    this.#db
      .statement('INSERT INTO effect (iteration, step, attempt, name, before) VALUES (?, ?, ?, ?, ?)')
      .run(iteration, step, attempt, name, before);
  }

  /** Notes the result of an effect, and that the step made progress. */
  noteResult(of: AttemptId, name: string, result: string): void {
    const { iteration, step, attempt } = of;
    const update = this.#db.statement(
      'UPDATE effect SET result = ? WHERE iteration = ? AND step = ? AND attempt = ? AND name = ?',
    );
    this.#db.inOneCommit(() => {
      update.run(result, iteration, step, attempt, name);
      this.#requests.noteProgress(of);
    });
  }

  /** The names of an attempt's effects that were begun, whether or not they ended. */
  begun({ iteration, step, attempt }: AttemptId): string[] {
    return this.#db
      .values('SELECT name FROM effect WHERE iteration = ? AND step = ? AND attempt = ? ORDER BY rowid')
      .all(iteration, step, attempt) as string[];
  }

  /** The iterations with effects: when the last was begun, in milliseconds since 1970, and what they take. */
  perIteration(): { iteration: string; at: number; bytes: number }[] {
    return this.#db
      .statement(
        `SELECT iteration, coalesce(max(begun_at), 0) AS at, sum(length(before) + coalesce(length(result), 0)) AS bytes
         FROM effect LEFT JOIN request USING (iteration, step, attempt) GROUP BY iteration`,
      )
      .all() as { iteration: string; at: number; bytes: number }[];
  }

  /** Forgets what was done of an iteration's requests. Only of one that has ended: what is open would be done again. */
  forget(iteration: string): void {
    this.#db.statement('DELETE FROM effect WHERE iteration = ?').run(iteration);
  }
}
