import type { AttemptId } from '../../../schemas/attempt-id.ts';
import type { StepName } from '../../../schemas/step-names.ts';
import type { JournalDatabase } from './database.ts';
import type { LogPlace } from './log-place.ts';
import type { Marks } from './marks.ts';

/** A request as it was noted. `bytes` is the event exactly as the log holds it. */
export interface NotedRequest extends AttemptId {
  /** `<source>/<id>` of the event, which the outcome answers. */
  eventId: string;
  bytes: Uint8Array;
  /** How often the step was begun since it last made progress, counting the run that made it. */
  tries: number;
  /** When it was first begun, in milliseconds since 1970; null before. */
  begunAt: number | null;
}

/** The state of a noted request. */
export interface RequestState extends AttemptId {
  eventId: string;
  /** Its sequence in the log, if that is known. */
  sequence: number | null;
  state: 'open' | 'done' | 'superseded';
}

/** A journal's requests and supersessions. */
export class Requests {
  readonly #db: JournalDatabase;
  readonly #marks: Marks;

  constructor(db: JournalDatabase, marks: Marks) {
    this.#db = db;
    this.#marks = marks;
  }

  /**
   * Notes a request. Noting it again only updates its place. A supersession that came first wins. If the request is
   * from before this journal was found to lack something, that is a lack again: it may have been begun.
   * @param epoch the epoch of the log in which it was written.
   */
  note(request: Omit<NotedRequest, 'tries' | 'begunAt'>, place?: LogPlace, epoch = 1): void {
    const { iteration, step, attempt, eventId, bytes } = request;
    const isKnown = this.#db.statement(
      'SELECT 1 FROM request WHERE iteration = ? AND step = ? AND attempt = ?',
    );
    const insert = this.#db.statement(
      `INSERT INTO request (iteration, step, attempt, event_id, bytes, sequence, signature, state)
       VALUES ($iteration, $step, $attempt, $eventId, $bytes, $sequence, $signature,
               iif(EXISTS (SELECT 1 FROM superseded
                           WHERE iteration = $iteration AND step = $step AND attempt = $attempt),
                   'superseded', 'open'))
       ON CONFLICT (iteration, step, attempt) DO UPDATE
         SET sequence = excluded.sequence, signature = excluded.signature
         WHERE bytes = excluded.bytes AND excluded.sequence IS NOT NULL AND excluded.sequence IS NOT sequence`,
    );
    const { sequence, signature } = place ?? { sequence: null, signature: null };
    this.#db.inOneCommit(() => {
      const isNew = isKnown.get(iteration, step, attempt) === undefined;
      if (isNew && place && place.sequence <= this.#marks.bornAt()) this.#marks.noteLack(place.sequence);
      insert.run({ iteration, step, attempt, eventId, bytes, sequence, signature });
      this.#marks.noteEpoch(epoch);
      if (place) this.#marks.notePosition(place.sequence);
    });
  }

  /** Notes when the log's server stored a request; what was noted first stays. */
  noteAskedAt({ iteration, step, attempt }: AttemptId, at: number): void {
    this.#db
      .statement('INSERT INTO asked_at VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING')
      .run(iteration, step, attempt, at);
  }

  /** When the log's server stored a request, in milliseconds since 1970; undefined if nobody knows. */
  askedAt({ iteration, step, attempt }: AttemptId): number | undefined {
    return this.#db
      .values('SELECT at FROM asked_at WHERE iteration = ? AND step = ? AND attempt = ?')
      .get(iteration, step, attempt) as number | undefined;
  }

  noteSuperseded({ iteration, step, attempt }: AttemptId, message?: LogPlace & { bytes: Uint8Array }): void {
    const insert = this.#db.statement(
      `INSERT INTO superseded (iteration, step, attempt, sequence, signature, bytes) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (iteration, step, attempt) DO UPDATE
         SET sequence = excluded.sequence, signature = excluded.signature, bytes = excluded.bytes
         WHERE excluded.sequence IS NOT NULL AND excluded.sequence IS NOT sequence`,
    );
    const end = this.#db.statement(
      "UPDATE request SET state = 'superseded' WHERE iteration = ? AND step = ? AND attempt = ? AND state = 'open'",
    );
    const { sequence, signature, bytes } = message ?? { sequence: null, signature: null, bytes: null };
    this.#db.inOneCommit(() => {
      insert.run(iteration, step, attempt, sequence, signature, bytes);
      if (message) this.#marks.notePosition(message.sequence);
      end.run(iteration, step, attempt);
    });
  }

  isSuperseded({ iteration, step, attempt }: AttemptId): boolean {
    return (
      this.#db
        .statement('SELECT 1 FROM superseded WHERE iteration = ? AND step = ? AND attempt = ?')
        .get(iteration, step, attempt) !== undefined
    );
  }

  /** The oldest request that is neither done nor superseded. */
  next(): NotedRequest | undefined {
    return this.#db
      .statement(
        `SELECT iteration, step, attempt, event_id AS eventId, bytes, tries, begun_at AS begunAt FROM request
         WHERE state = 'open' ORDER BY noted LIMIT 1`,
      )
      .get() as NotedRequest | undefined;
  }

  /** Every request that was noted, oldest first. */
  all(): RequestState[] {
    return this.#db
      .statement(
        'SELECT iteration, step, attempt, event_id AS eventId, sequence, state FROM request ORDER BY noted',
      )
      .all() as RequestState[];
  }

  /** The attempts that are neither done nor superseded. */
  open(): AttemptId[] {
    return this.#db
      .statement("SELECT iteration, step, attempt FROM request WHERE state = 'open' ORDER BY noted")
      .all() as AttemptId[];
  }

  /**
   * The iterations of which something is open, or was asked behind that place in the log, or nobody knows where; some of
   * them several times, since each part of the question has an index of its own.
   */
  iterationsAfter(sequence: number): string[] {
    return this.#db
      .values(
        `SELECT iteration FROM request WHERE state = 'open'
         UNION ALL SELECT iteration FROM request WHERE sequence IS NULL
         UNION ALL SELECT iteration FROM request WHERE sequence > ?`,
      )
      .all(sequence) as string[];
  }

  /** Every attempt of a step that was asked for, oldest first. */
  ofStep(step: StepName): AttemptId[] {
    return this.#db
      .statement('SELECT iteration, step, attempt FROM request WHERE step = ? ORDER BY noted')
      .all(step) as AttemptId[];
  }

  /** The event of a request that was noted. */
  bytesOf({ iteration, step, attempt }: AttemptId): Uint8Array | undefined {
    return this.#db
      .values('SELECT bytes FROM request WHERE iteration = ? AND step = ? AND attempt = ?')
      .get(iteration, step, attempt) as Uint8Array | undefined;
  }

  /** How often the step was begun since it last made progress, counting the run that made it. */
  tries({ iteration, step, attempt }: AttemptId): number {
    return this.#db
      .values('SELECT tries FROM request WHERE iteration = ? AND step = ? AND attempt = ?')
      .get(iteration, step, attempt) as number;
  }

  /**
   * Notes that the step is begun, or begun again, at `now` (milliseconds since 1970).
   * @param isOnDisk whether to wait for the disk. Otherwise the next commit does, which is that of the step's first
   * intent: a try that a power cut undoes has changed nothing.
   */
  noteTry({ iteration, step, attempt }: AttemptId, now: number, isOnDisk = true): void {
    const update = this.#db.statement(
      `UPDATE request SET tries = tries + 1, begun_at = coalesce(begun_at, ?)
       WHERE iteration = ? AND step = ? AND attempt = ?`,
    );
    const note = () => update.run(now, iteration, step, attempt);
    if (isOnDisk) note();
    else this.#db.withoutSync(note);
  }

  /** Does not count a try that failed for lack of room. */
  forgetTry({ iteration, step, attempt }: AttemptId): void {
    this.#db
      .statement(
        'UPDATE request SET tries = max(tries - 1, 0) WHERE iteration = ? AND step = ? AND attempt = ?',
      )
      .run(iteration, step, attempt);
  }

  /** The step made progress: its tries are counted from this run. */
  noteProgress({ iteration, step, attempt }: AttemptId): void {
    this.#db
      .statement('UPDATE request SET tries = min(tries, 1) WHERE iteration = ? AND step = ? AND attempt = ?')
      .run(iteration, step, attempt);
  }

  /** A request is answered. */
  end({ iteration, step, attempt }: AttemptId): void {
    this.#db
      .statement("UPDATE request SET state = 'done' WHERE iteration = ? AND step = ? AND attempt = ?")
      .run(iteration, step, attempt);
  }

  /** Whether a request has its answer. */
  isAnswered({ iteration, step, attempt }: AttemptId): boolean {
    return (
      this.#db
        .statement(
          "SELECT 1 FROM request WHERE iteration = ? AND step = ? AND attempt = ? AND state = 'done'",
        )
        .get(iteration, step, attempt) !== undefined
    );
  }
}
