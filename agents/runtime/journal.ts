import type Database from 'better-sqlite3';
import type { StepName } from '../../schemas/step-names.ts';
import { openJournalFile } from './journal-schema.ts';

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

/** Where a message stands in the log, and its writer's signature: what it takes to put it there again. */
export interface LogPlace {
  sequence: number;
  signature: string;
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

/**
 * `position`: the log's highest sequence that was handed over and is in here, or was refused. `epoch`: the log's
 * highest epoch that a request told of. `born`: the log's last sequence when this journal was last found to lack what its
 * host had done; a request up to there may have been begun by a journal that is no more. `lacks`: the position then,
 * until it is settled.
 */
type Mark = 'position' | 'epoch' | 'born' | 'lacks';

/**
 * A host's own record, which survives what the host does not: SQLite in WAL with `synchronous=FULL`, so that what
 * was written is on disk when a call returns.
 */
export class Journal {
  readonly #db: Database.Database;

  /**
   * @param file The journal's path; it is made if it is not there.
   * @throws {JournalCorrupt} if it is no journal any more.
   */
  constructor(file: string) {
    this.#db = openJournalFile(file);
  }

  /** All that `work` writes is on the disk, or nothing of it. */
  inOneCommit<Result>(work: () => Result): Result {
    return this.#db.transaction(work)();
  }

  #mark(name: Mark): number | undefined {
    return this.#db.prepare('SELECT value FROM mark WHERE name = ?').pluck().get(name) as number | undefined;
  }

  #raise(name: Mark, value: number): void {
    this.#db
      .prepare(
        'INSERT INTO mark VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > value',
      )
      .run(name, value);
  }

  /** The log's highest sequence that was handed over and is in here, or was refused; 0 before the first. */
  position(): number {
    return this.#mark('position') ?? 0;
  }

  /** Notes that what the log holds up to `sequence` for this host is in here, or was refused. */
  notePosition(sequence: number): void {
    this.#raise('position', sequence);
  }

  /** The log ends at `sequence`, and may have ended later before it was cut: what comes then is new. */
  limitPosition(sequence: number): void {
    this.#db
      .prepare("UPDATE mark SET value = ? WHERE name IN ('position', 'born') AND value > ?")
      .run(sequence, sequence);
  }

  /** Where the journal stood when it was found to lack what its host had done; undefined if it lacks nothing. */
  lacksFrom(): number | undefined {
    return this.#mark('lacks');
  }

  /** The log's last sequence when the journal was last found to lack something; 0 if it never was. */
  bornAt(): number {
    return this.#mark('born') ?? 0;
  }

  /** Notes that the journal lacks what its host has done until now. @param sequence the log's last. */
  noteLack(sequence: number): void {
    this.inOneCommit(() => {
      this.#db.prepare("INSERT INTO mark VALUES ('lacks', ?) ON CONFLICT DO NOTHING").run(this.position());
      this.#raise('born', sequence);
    });
  }

  noteSettled(): void {
    this.#db.prepare("DELETE FROM mark WHERE name = 'lacks'").run();
  }

  /** The log's highest epoch that a request told of. */
  epoch(): number {
    return this.#mark('epoch') ?? 1;
  }

  /**
   * Notes a request. Noting it again changes nothing but its place. A supersession that came first wins. One from before
   * this journal was found to lack something is a lack again: it may have been begun.
   * @param epoch the log's epoch that it was written in.
   */
  noteRequest(request: Omit<NotedRequest, 'tries' | 'begunAt'>, place?: LogPlace, epoch = 1): void {
    const { iteration, step, attempt, eventId, bytes } = request;
    this.#db.transaction(() => {
      const isNew = !this.#db
        .prepare('SELECT 1 FROM request WHERE iteration = ? AND step = ? AND attempt = ?')
        .get(iteration, step, attempt);
      if (isNew && place && place.sequence <= this.bornAt()) this.noteLack(place.sequence);
      this.#db
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
      this.#raise('epoch', epoch);
      if (place) this.notePosition(place.sequence);
    })();
  }

  noteSuperseded(
    iteration: string,
    step: StepName,
    attempt: number,
    message?: LogPlace & { bytes: Uint8Array },
  ): void {
    this.#db.transaction(() => {
      this.#db
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

  /** Every request that was noted, oldest first. */
  requests(): (Pick<NotedRequest, 'iteration' | 'step' | 'attempt' | 'eventId'> & {
    sequence: number | null;
    state: 'open' | 'done' | 'superseded';
  })[] {
    return this.#db
      .prepare(
        'SELECT iteration, step, attempt, event_id AS eventId, sequence, state FROM request ORDER BY noted',
      )
      .all() as ReturnType<Journal['requests']>;
  }

  /** The attempts that are neither done nor superseded. */
  openAttempts(): Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>[] {
    return this.#db
      .prepare("SELECT iteration, step, attempt FROM request WHERE state = 'open' ORDER BY noted")
      .all() as Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>[];
  }

  /** How often the step was begun, from the time on in which it last got further. */
  tries({ iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>): number {
    return this.#db
      .prepare('SELECT tries FROM request WHERE iteration = ? AND step = ? AND attempt = ?')
      .pluck()
      .get(iteration, step, attempt) as number;
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

  /** Notes what an effect gave. The step got further: its tries are counted from this one. */
  noteResult(
    { iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>,
    name: string,
    result: string,
  ): void {
    this.#db.transaction(() => {
      this.#db
        .prepare('UPDATE effect SET result = ? WHERE iteration = ? AND step = ? AND attempt = ? AND name = ?')
        .run(result, iteration, step, attempt, name);
      this.#db
        .prepare('UPDATE request SET tries = min(tries, 1) WHERE iteration = ? AND step = ? AND attempt = ?')
        .run(iteration, step, attempt);
    })();
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
      if (answers) this.endRequest(answers);
    })();
  }

  /** The oldest own event that is not in the log yet. */
  nextUnsent(): OutboxEvent | undefined {
    return this.#db
      .prepare('SELECT seq, subject, bytes, signature FROM outbox WHERE sent = 0 ORDER BY seq LIMIT 1')
      .get() as OutboxEvent | undefined;
  }

  /** Whether an own event was journalled under this subject, in the log or not. */
  hasWritten(subject: string): boolean {
    return this.#db.prepare('SELECT 1 FROM outbox WHERE subject = ?').get(subject) !== undefined;
  }

  /** Own events, newest first: those that are in the log, or those that are not yet. */
  ownEvents(which: 'sent' | 'unsent', atMost = -1): (OutboxEvent & { sequence: number | null })[] {
    return this.#db
      .prepare(
        'SELECT seq, subject, bytes, signature, sequence FROM outbox WHERE sent = ? ORDER BY seq DESC LIMIT ?',
      )
      .all(which === 'sent' ? 1 : 0, atMost) as ReturnType<Journal['ownEvents']>;
  }

  /** The own event of a subject. */
  written(subject: string): OutboxEvent | undefined {
    return this.#db
      .prepare('SELECT seq, subject, bytes, signature FROM outbox WHERE subject = ?')
      .get(subject) as OutboxEvent | undefined;
  }

  /** The highest last number among the subjects of own events that begin so; 0 if there is none. */
  highestOf(subjectPrefix: string): number {
    return this.#db
      .prepare(
        `SELECT coalesce(max(CAST(substr(subject, length($prefix) + 1) AS INTEGER)), 0) FROM outbox
         WHERE substr(subject, 1, length($prefix)) = $prefix`,
      )
      .pluck()
      .get({ prefix: subjectPrefix }) as number;
  }

  /** Takes an own event back from the log. It counts as sent. */
  takeBack({ subject, bytes, signature, seq, sequence }: OutboxEvent & LogPlace): void {
    // Two journals of one host may have given the same number to different events.
    this.#db
      .prepare(
        `INSERT INTO outbox (seq, subject, bytes, signature, sent, sequence)
           VALUES (iif(EXISTS (SELECT 1 FROM outbox WHERE seq = $seq), (SELECT max(seq) + 1 FROM outbox), $seq),
                   $subject, $bytes, $signature, 1, $sequence)
           ON CONFLICT (subject) DO UPDATE SET bytes = $bytes, signature = $signature, sent = 1, sequence = $sequence`,
      )
      .run({ seq, subject, bytes, signature, sequence });
  }

  /** A request is answered. */
  endRequest({ iteration, step, attempt }: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>): void {
    this.#db
      .prepare("UPDATE request SET state = 'done' WHERE iteration = ? AND step = ? AND attempt = ?")
      .run(iteration, step, attempt);
  }

  /** Forgets an own event that never came into the log, to write it anew. */
  forget(seq: number): void {
    this.#db.prepare('DELETE FROM outbox WHERE seq = ? AND sent = 0').run(seq);
  }

  /** The log has lost an own event that it had. */
  markUnsent(seq: number): void {
    this.#db.prepare('UPDATE outbox SET sent = 0, sequence = NULL WHERE seq = ?').run(seq);
  }

  /** How many own events are not in the log yet. */
  unsent(): number {
    return this.#db.prepare('SELECT count(*) FROM outbox WHERE sent = 0').pluck().get() as number;
  }

  /** @param sequence where it stands in the log. */
  markSent(seq: number, sequence?: number): void {
    this.#db.prepare('UPDATE outbox SET sent = 1, sequence = ? WHERE seq = ?').run(sequence ?? null, seq);
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
