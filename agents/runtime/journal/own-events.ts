import type { AttemptId } from '../../../schemas/attempt-id.ts';
import type { EventType } from '../../../schemas/events.ts';
import type { JournalDatabase } from './database.ts';
import type { LogPlace } from './log-place.ts';
import type { Requests } from './requests.ts';

/** An event of this host's own, signed, waiting for or already in the log. */
export interface OutboxEvent {
  /** The writer's own count, from 1. */
  seq: number;
  subject: string;
  bytes: Uint8Array;
  signature: string;
}

/** An own event with its sequence in the log, if that is known. */
export type OwnEvent = OutboxEvent & { sequence: number | null };

const columns = 'seq, subject, bytes, signature, sequence';
const sentEvents = `SELECT ${columns} FROM outbox WHERE sent = 1 ORDER BY seq DESC LIMIT ?`;
/** Has exactly the condition of the index `unsent`, so that SQLite uses it. */
const unsentEvents = `SELECT ${columns} FROM outbox WHERE sent = 0 ORDER BY seq DESC LIMIT ?`;

/** A journal's outbox: this host's own events, those that are in the log and those that are not yet. */
export class OwnEvents {
  readonly #db: JournalDatabase;
  readonly #requests: Requests;

  constructor(db: JournalDatabase, requests: Requests) {
    this.#db = db;
    this.#requests = requests;
  }

  /** Puts an own event into the outbox and, in the same commit, ends the request that it answers. */
  note({ seq, subject, bytes, signature }: OutboxEvent, answers?: AttemptId): void {
    const insert = this.#db.statement(
      'INSERT INTO outbox (seq, subject, bytes, signature) VALUES (?, ?, ?, ?)',
    );
    this.#db.inOneCommit(() => {
      insert.run(seq, subject, bytes, signature);
      if (answers) this.#requests.end(answers);
    });
  }

  /** The writer's last own event: its count and bytes. The next one links to it. */
  last(): Pick<OutboxEvent, 'seq' | 'bytes'> | undefined {
    return this.#db.statement('SELECT seq, bytes FROM outbox ORDER BY seq DESC LIMIT 1').get() as
      | Pick<OutboxEvent, 'seq' | 'bytes'>
      | undefined;
  }

  /** The oldest own event that is not in the log yet. */
  nextUnsent(): OutboxEvent | undefined {
    return this.#db
      .statement('SELECT seq, subject, bytes, signature FROM outbox WHERE sent = 0 ORDER BY seq LIMIT 1')
      .get() as OutboxEvent | undefined;
  }

  /** Whether an own event was journalled under this subject, in the log or not. */
  has(subject: string): boolean {
    return this.#db.statement('SELECT 1 FROM outbox WHERE subject = ?').get(subject) !== undefined;
  }

  /** Own events, newest first: those that are in the log, or those that are not yet. */
  list(which: 'sent' | 'unsent', atMost = -1): OwnEvent[] {
    return this.#db.statement(which === 'sent' ? sentEvents : unsentEvents).all(atMost) as OwnEvent[];
  }

  /** The own event under a subject. */
  under(subject: string): OutboxEvent | undefined {
    return this.#db
      .statement('SELECT seq, subject, bytes, signature FROM outbox WHERE subject = ?')
      .get(subject) as OutboxEvent | undefined;
  }

  /** The own events of a type in an iteration, whichever their numbers. */
  ofType(iteration: string, type: EventType): OutboxEvent[] {
    // Only own events are here, and a subject's tokens hold no dot.
    return this.#db
      .statement('SELECT seq, subject, bytes, signature FROM outbox WHERE instr(subject, ?) > 0 ORDER BY seq')
      .all(`.${iteration}.${type}.`) as OutboxEvent[];
  }

  /** The highest number that follows this prefix in the subjects of own events; 0 if there is none. */
  highestOf(subjectPrefix: string): number {
    return this.#db
      .values(
        `SELECT coalesce(max(CAST(substr(subject, length($prefix) + 1) AS INTEGER)), 0) FROM outbox
         WHERE substr(subject, 1, length($prefix)) = $prefix`,
      )
      .get({ prefix: subjectPrefix }) as number;
  }

  /** Takes an own event back from the log. It counts as sent. */
  takeBack({ subject, bytes, signature, seq, sequence }: OutboxEvent & LogPlace): void {
    // Two journals of one host may have given the same count to different events.
    this.#db
      .statement(
        `INSERT INTO outbox (seq, subject, bytes, signature, sent, sequence)
           VALUES (iif(EXISTS (SELECT 1 FROM outbox WHERE seq = $seq), (SELECT max(seq) + 1 FROM outbox), $seq),
                   $subject, $bytes, $signature, 1, $sequence)
           ON CONFLICT (subject) DO UPDATE SET bytes = $bytes, signature = $signature, sent = 1, sequence = $sequence`,
      )
      .run({ seq, subject, bytes, signature, sequence });
  }

  /** Removes an own event that never reached the log, so that it can be written again. */
  forget(seq: number): void {
    this.#db.statement('DELETE FROM outbox WHERE seq = ? AND sent = 0').run(seq);
  }

  /** The log has lost an own event that it had. */
  markUnsent(seq: number): void {
    this.#db.statement('UPDATE outbox SET sent = 0, sequence = NULL WHERE seq = ?').run(seq);
  }

  /** How many own events are not in the log yet. */
  unsent(): number {
    return this.#db.values('SELECT count(*) FROM outbox WHERE sent = 0').get() as number;
  }

  /**
   * It does not wait for the disk: after a power cut, the comparison with the log marks the event as sent again.
   * @param sequence its sequence in the log.
   */
  markSent(seq: number, sequence?: number): void {
    const update = this.#db.statement('UPDATE outbox SET sent = 1, sequence = ? WHERE seq = ?');
    this.#db.withoutSync(() => update.run(sequence ?? null, seq));
  }
}
