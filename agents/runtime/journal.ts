import Database from 'better-sqlite3';
import type { StepName } from '../../schemas/step-names.ts';

/** A request as it was noted. `bytes` is the event exactly as the log holds it. */
export interface NotedRequest {
  iteration: string;
  step: StepName;
  attempt: number;
  /** `<source>/<id>` of the event, which the outcome answers. */
  eventId: string;
  bytes: Uint8Array;
  /** How often the step has been begun. */
  tries: number;
  /** When it was begun first, in milliseconds since 1970; null before. */
  begunAt: number | null;
}

/** An event of this host's own, signed, waiting for or already in the log. */
export interface OutboxEvent {
  /** The writer's own count, from 1. */
  seq: number;
  subject: string;
  bytes: Uint8Array;
  signature: string;
}

/** What is known of one effect of one attempt: an intent, and a result once it is done. Values are JSON text. */
export interface EffectEntry {
  before: string;
  result: string | null;
}

const schema = `
  CREATE TABLE IF NOT EXISTS request (
    iteration TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    event_id TEXT NOT NULL, bytes BLOB NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, begun_at INTEGER,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'superseded')),
    noted INTEGER PRIMARY KEY AUTOINCREMENT,
    UNIQUE (iteration, step, attempt)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS effect (
    iteration TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL, name TEXT NOT NULL,
    before TEXT NOT NULL, result TEXT,
    PRIMARY KEY (iteration, step, attempt, name)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS superseded (
    iteration TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    PRIMARY KEY (iteration, step, attempt)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY, subject TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL, signature TEXT NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX IF NOT EXISTS unsent ON outbox (seq) WHERE sent = 0;
  CREATE TABLE IF NOT EXISTS boot (boot_id TEXT PRIMARY KEY, seen INTEGER NOT NULL) STRICT;
`;

/**
 * A host's own record, which survives what the host does not: SQLite in WAL with `synchronous=FULL`, so that what
 * was written is on disk when a call returns.
 */
export class Journal {
  readonly #db: Database.Database;

  /** @param file The journal's path; it is made if it is not there. */
  constructor(file: string) {
    this.#db = new Database(file);
    this.#db.pragma('journal_mode = WAL');
    this.#db.pragma('synchronous = FULL');
    this.#db.exec(schema);
  }

  /** Notes a request. Noting it again changes nothing. A supersession that came first wins. */
  noteRequest(request: Omit<NotedRequest, 'tries' | 'begunAt'>): void {
    const { iteration, step, attempt, eventId, bytes } = request;
    this.#db
      .prepare(
        `INSERT INTO request (iteration, step, attempt, event_id, bytes, state)
         VALUES (?, ?, ?, ?, ?, iif(EXISTS (SELECT 1 FROM superseded WHERE iteration = ? AND step = ? AND attempt = ?),
                                    'superseded', 'open'))
         ON CONFLICT DO NOTHING`,
      )
      .run(iteration, step, attempt, eventId, bytes, iteration, step, attempt);
  }

  noteSuperseded(iteration: string, step: StepName, attempt: number): void {
    this.#db.transaction(() => {
      this.#db
        .prepare('INSERT INTO superseded VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
        .run(iteration, step, attempt);
      this.#db
        .prepare(
          "UPDATE request SET state = 'superseded' WHERE iteration = ? AND step = ? AND attempt = ? AND state = 'open'",
        )
        .run(iteration, step, attempt);
    })();
  }

  isSuperseded(iteration: string, step: StepName, attempt: number): boolean {
    return (
      this.#db
        .prepare('SELECT 1 FROM superseded WHERE iteration = ? AND step = ? AND attempt = ?')
        .get(iteration, step, attempt) !== undefined
    );
  }

  /** The oldest request that is neither done nor superseded. */
  nextRequest(): NotedRequest | undefined {
    return this.#db
      .prepare(
        `SELECT iteration, step, attempt, event_id AS eventId, bytes, tries, begun_at AS begunAt FROM request
         WHERE state = 'open' ORDER BY noted LIMIT 1`,
      )
      .get() as NotedRequest | undefined;
  }

  /** The attempts that are neither done nor superseded. */
  openAttempts(): Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>[] {
    return this.#db
      .prepare("SELECT iteration, step, attempt FROM request WHERE state = 'open' ORDER BY noted")
      .all() as Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>[];
  }

  /** Notes that the step is begun, or begun again, at `now` (milliseconds since 1970). */
  noteTry(
    { iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>,
    now: number,
  ): void {
    this.#db
      .prepare(
        `UPDATE request SET tries = tries + 1, begun_at = coalesce(begun_at, ?)
         WHERE iteration = ? AND step = ? AND attempt = ?`,
      )
      .run(now, iteration, step, attempt);
  }

  effect(
    request: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>,
    name: string,
  ): EffectEntry | undefined {
    return this.#db
      .prepare(
        'SELECT before, result FROM effect WHERE iteration = ? AND step = ? AND attempt = ? AND name = ?',
      )
      .get(request.iteration, request.step, request.attempt, name) as EffectEntry | undefined;
  }

  noteIntent(
    { iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>,
    name: string,
    before: string,
  ): void {
    this.#db
      .prepare('INSERT INTO effect (iteration, step, attempt, name, before) VALUES (?, ?, ?, ?, ?)')
      .run(iteration, step, attempt, name, before);
  }

  noteResult(
    { iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>,
    name: string,
    result: string,
  ): void {
    this.#db
      .prepare('UPDATE effect SET result = ? WHERE iteration = ? AND step = ? AND attempt = ? AND name = ?')
      .run(result, iteration, step, attempt, name);
  }

  /** The names of an attempt's effects that were begun, whether or not they ended. */
  begun({ iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>): string[] {
    return this.#db
      .prepare('SELECT name FROM effect WHERE iteration = ? AND step = ? AND attempt = ? ORDER BY rowid')
      .pluck()
      .all(iteration, step, attempt) as string[];
  }

  /** The writer's last own event: its count and bytes. The next one links to it. */
  lastWritten(): { seq: number; bytes: Uint8Array } | undefined {
    return this.#db.prepare('SELECT seq, bytes FROM outbox ORDER BY seq DESC LIMIT 1').get() as
      | { seq: number; bytes: Uint8Array }
      | undefined;
  }

  /** Puts an own event into the outbox and, in the same commit, ends the request that it answers. */
  noteOutcome(event: OutboxEvent, answers?: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>): void {
    this.#db.transaction(() => {
      this.#db
        .prepare('INSERT INTO outbox (seq, subject, bytes, signature) VALUES (?, ?, ?, ?)')
        .run(event.seq, event.subject, event.bytes, event.signature);
      if (answers)
        this.#db
          .prepare("UPDATE request SET state = 'done' WHERE iteration = ? AND step = ? AND attempt = ?")
          .run(answers.iteration, answers.step, answers.attempt);
    })();
  }

  /** The oldest own event that is not in the log yet. */
  nextUnsent(): OutboxEvent | undefined {
    return this.#db
      .prepare('SELECT seq, subject, bytes, signature FROM outbox WHERE sent = 0 ORDER BY seq LIMIT 1')
      .get() as OutboxEvent | undefined;
  }

  /** How many own events are not in the log yet. */
  unsent(): number {
    return this.#db.prepare('SELECT count(*) FROM outbox WHERE sent = 0').pluck().get() as number;
  }

  markSent(seq: number): void {
    this.#db.prepare('UPDATE outbox SET sent = 1 WHERE seq = ?').run(seq);
  }

  /** Notes that this boot was seen. */
  noteBoot(bootId: string): void {
    this.#db
      .prepare('INSERT INTO boot SELECT ?, count(*) + 1 FROM boot WHERE true ON CONFLICT DO NOTHING')
      .run(bootId);
  }

  /** The boots seen after `bootId`, oldest first. */
  bootsAfter(bootId: string): string[] {
    return this.#db
      .prepare(
        'SELECT boot_id FROM boot WHERE seen > (SELECT seen FROM boot WHERE boot_id = ?) ORDER BY seen',
      )
      .pluck()
      .all(bootId) as string[];
  }

  close(): void {
    this.#db.close();
  }
}
