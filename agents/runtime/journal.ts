import type { StepName } from '../../schemas/step-names.ts';
import { openJournalFile } from './journal-schema.ts';
import { type LogPlace, type OutboxEvent, OwnEvents } from './own-events.ts';

export type { LogPlace, OutboxEvent } from './own-events.ts';

/** A request as it was noted. `bytes` is the event exactly as the log holds it. */
export interface NotedRequest {
  iteration: string;
  step: StepName;
  attempt: number;
  /** `<source>/<id>` of the event, which the outcome answers. */
  eventId: string;
  bytes: Uint8Array;
  /** How often the step was begun, from the time on in which it last got further. */
  tries: number;
  /** When it was begun first, in milliseconds since 1970; null before. */
  begunAt: number | null;
}

/** What is known of one effect of one attempt: an intent, and a result once it is done. Values are JSON text. */
export interface EffectEntry {
  before: string;
  result: string | null;
}

/**
 * A host's own record, which survives what the host does not: SQLite in WAL with `synchronous=FULL`, so that what
 * was written is on disk when a call returns. Its marks and its outbox are {@link JournalMarks} and {@link OwnEvents};
 * here are the requests, and what was done of them.
 */
export class Journal extends OwnEvents {
  /**
   * @param file The journal's path; it is made if it is not there.
   * @throws {JournalCorrupt} if it is no journal any more.
   */
  constructor(file: string) {
    super(openJournalFile(file));
  }

  /**
   * Notes a request. Noting it again changes nothing but its place. A supersession that came first wins. One from before
   * this journal was found to lack something is a lack again: it may have been begun.
   * @param epoch the log's epoch that it was written in.
   */
  noteRequest(request: Omit<NotedRequest, 'tries' | 'begunAt'>, place?: LogPlace, epoch = 1): void {
    const { iteration, step, attempt, eventId, bytes } = request;
    this.db.transaction(() => {
      const isNew = !this.db
        .prepare('SELECT 1 FROM request WHERE iteration = ? AND step = ? AND attempt = ?')
        .get(iteration, step, attempt);
      if (isNew && place && place.sequence <= this.bornAt()) this.noteLack(place.sequence);
      this.db
        .prepare(
          `INSERT INTO request (iteration, step, attempt, event_id, bytes, sequence, signature, state)
           VALUES (?, ?, ?, ?, ?, ?, ?,
                   iif(EXISTS (SELECT 1 FROM superseded WHERE iteration = ? AND step = ? AND attempt = ?),
                       'superseded', 'open'))
           ON CONFLICT (iteration, step, attempt) DO UPDATE
             SET sequence = excluded.sequence, signature = excluded.signature
             WHERE bytes = excluded.bytes AND excluded.sequence IS NOT NULL AND excluded.sequence IS NOT sequence`,
        )
        .run(
          iteration,
          step,
          attempt,
          eventId,
          bytes,
          place?.sequence ?? null,
          place?.signature ?? null,
          iteration,
          step,
          attempt,
        );
      this.raise('epoch', epoch);
      if (place) this.notePosition(place.sequence);
    })();
  }

  noteSuperseded(
    iteration: string,
    step: StepName,
    attempt: number,
    message?: LogPlace & { bytes: Uint8Array },
  ): void {
    this.db.transaction(() => {
      this.db
        .prepare(
          `INSERT INTO superseded (iteration, step, attempt, sequence, signature, bytes) VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT (iteration, step, attempt) DO UPDATE
             SET sequence = excluded.sequence, signature = excluded.signature, bytes = excluded.bytes
             WHERE excluded.sequence IS NOT NULL AND excluded.sequence IS NOT sequence`,
        )
        .run(
          iteration,
          step,
          attempt,
          message?.sequence ?? null,
          message?.signature ?? null,
          message?.bytes ?? null,
        );
      if (message) this.notePosition(message.sequence);
      this.db
        .prepare(
          "UPDATE request SET state = 'superseded' WHERE iteration = ? AND step = ? AND attempt = ? AND state = 'open'",
        )
        .run(iteration, step, attempt);
    })();
  }

  isSuperseded(iteration: string, step: StepName, attempt: number): boolean {
    return (
      this.db
        .prepare('SELECT 1 FROM superseded WHERE iteration = ? AND step = ? AND attempt = ?')
        .get(iteration, step, attempt) !== undefined
    );
  }

  /** The oldest request that is neither done nor superseded. */
  nextRequest(): NotedRequest | undefined {
    return this.db
      .prepare(
        `SELECT iteration, step, attempt, event_id AS eventId, bytes, tries, begun_at AS begunAt FROM request
         WHERE state = 'open' ORDER BY noted LIMIT 1`,
      )
      .get() as NotedRequest | undefined;
  }

  /** Every request that was noted, oldest first. */
  requests(): (Pick<NotedRequest, 'iteration' | 'step' | 'attempt' | 'eventId'> & {
    sequence: number | null;
    state: 'open' | 'done' | 'superseded';
  })[] {
    return this.db
      .prepare(
        'SELECT iteration, step, attempt, event_id AS eventId, sequence, state FROM request ORDER BY noted',
      )
      .all() as ReturnType<Journal['requests']>;
  }

  /** The attempts that are neither done nor superseded. */
  openAttempts(): Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>[] {
    return this.db
      .prepare("SELECT iteration, step, attempt FROM request WHERE state = 'open' ORDER BY noted")
      .all() as Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>[];
  }

  /** How often the step was begun, from the time on in which it last got further. */
  tries({ iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>): number {
    return this.db
      .prepare('SELECT tries FROM request WHERE iteration = ? AND step = ? AND attempt = ?')
      .pluck()
      .get(iteration, step, attempt) as number;
  }

  /** Notes that the step is begun, or begun again, at `now` (milliseconds since 1970). */
  noteTry(
    { iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>,
    now: number,
  ): void {
    this.db
      .prepare(
        `UPDATE request SET tries = tries + 1, begun_at = coalesce(begun_at, ?)
         WHERE iteration = ? AND step = ? AND attempt = ?`,
      )
      .run(now, iteration, step, attempt);
  }

  /** A begin that came to nothing for want of room does not count. */
  forgetTry({ iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>): void {
    this.db
      .prepare(
        'UPDATE request SET tries = max(tries - 1, 0) WHERE iteration = ? AND step = ? AND attempt = ?',
      )
      .run(iteration, step, attempt);
  }

  effect(
    request: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>,
    name: string,
  ): EffectEntry | undefined {
    return this.db
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
    this.db
      .prepare('INSERT INTO effect (iteration, step, attempt, name, before) VALUES (?, ?, ?, ?, ?)')
      .run(iteration, step, attempt, name, before);
  }

  /** Notes what an effect gave. The step got further: its tries are counted from this one. */
  noteResult(
    { iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>,
    name: string,
    result: string,
  ): void {
    this.db.transaction(() => {
      this.db
        .prepare('UPDATE effect SET result = ? WHERE iteration = ? AND step = ? AND attempt = ? AND name = ?')
        .run(result, iteration, step, attempt, name);
      this.db
        .prepare('UPDATE request SET tries = min(tries, 1) WHERE iteration = ? AND step = ? AND attempt = ?')
        .run(iteration, step, attempt);
    })();
  }

  /** The names of an attempt's effects that were begun, whether or not they ended. */
  begun({ iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>): string[] {
    return this.db
      .prepare('SELECT name FROM effect WHERE iteration = ? AND step = ? AND attempt = ? ORDER BY rowid')
      .pluck()
      .all(iteration, step, attempt) as string[];
  }

  /** Puts an own event into the outbox and, in the same commit, ends the request that it answers. */
  noteOutcome(event: OutboxEvent, answers?: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>): void {
    this.db.transaction(() => {
      this.db
        .prepare('INSERT INTO outbox (seq, subject, bytes, signature) VALUES (?, ?, ?, ?)')
        .run(event.seq, event.subject, event.bytes, event.signature);
      if (answers) this.endRequest(answers);
    })();
  }

  /** A request is answered. */
  endRequest({ iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>): void {
    this.db
      .prepare("UPDATE request SET state = 'done' WHERE iteration = ? AND step = ? AND attempt = ?")
      .run(iteration, step, attempt);
  }

  /** Whether a request has its answer. */
  isAnswered({ iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>): boolean {
    return (
      this.db
        .prepare("SELECT 1 FROM request WHERE iteration = ? AND step = ? AND attempt = ? AND state = 'done'")
        .get(iteration, step, attempt) !== undefined
    );
  }

  /** Notes that this boot was seen. */
  noteBoot(bootId: string): void {
    this.db
      .prepare('INSERT INTO boot SELECT ?, count(*) + 1 FROM boot WHERE true ON CONFLICT DO NOTHING')
      .run(bootId);
  }

  /** The boots seen after `bootId`, oldest first. */
  bootsAfter(bootId: string): string[] {
    return this.db
      .prepare(
        'SELECT boot_id FROM boot WHERE seen > (SELECT seen FROM boot WHERE boot_id = ?) ORDER BY seen',
      )
      .pluck()
      .all(bootId) as string[];
  }

  close(): void {
    this.db.close();
  }
}
