import { JournalCheckpoints } from './journal-checkpoints.ts';

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

/** A journal's outbox: this host's own events, those that are in the log and those that are not yet. */
export class OwnEvents extends JournalCheckpoints {
  /** The writer's last own event: its count and bytes. The next one links to it. */
  lastWritten(): { seq: number; bytes: Uint8Array } | undefined {
    return this.db.prepare('SELECT seq, bytes FROM outbox ORDER BY seq DESC LIMIT 1').get() as
      | { seq: number; bytes: Uint8Array }
      | undefined;
  }

  /** The oldest own event that is not in the log yet. */
  nextUnsent(): OutboxEvent | undefined {
    return this.db
      .prepare('SELECT seq, subject, bytes, signature FROM outbox WHERE sent = 0 ORDER BY seq LIMIT 1')
      .get() as OutboxEvent | undefined;
  }

  /** Whether an own event was journalled under this subject, in the log or not. */
  hasWritten(subject: string): boolean {
    return this.db.prepare('SELECT 1 FROM outbox WHERE subject = ?').get(subject) !== undefined;
  }

  /** Own events, newest first: those that are in the log, or those that are not yet. */
  ownEvents(which: 'sent' | 'unsent', atMost = -1): (OutboxEvent & { sequence: number | null })[] {
    return this.db
      .prepare(
        'SELECT seq, subject, bytes, signature, sequence FROM outbox WHERE sent = ? ORDER BY seq DESC LIMIT ?',
      )
      .all(which === 'sent' ? 1 : 0, atMost) as ReturnType<OwnEvents['ownEvents']>;
  }

  /** The own event of a subject. */
  written(subject: string): OutboxEvent | undefined {
    return this.db
      .prepare('SELECT seq, subject, bytes, signature FROM outbox WHERE subject = ?')
      .get(subject) as OutboxEvent | undefined;
  }

  /** The highest last number among the subjects of own events that begin so; 0 if there is none. */
  highestOf(subjectPrefix: string): number {
    return this.db
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
    this.db
      .prepare(
        `INSERT INTO outbox (seq, subject, bytes, signature, sent, sequence)
           VALUES (iif(EXISTS (SELECT 1 FROM outbox WHERE seq = $seq), (SELECT max(seq) + 1 FROM outbox), $seq),
                   $subject, $bytes, $signature, 1, $sequence)
           ON CONFLICT (subject) DO UPDATE SET bytes = $bytes, signature = $signature, sent = 1, sequence = $sequence`,
      )
      .run({ seq, subject, bytes, signature, sequence });
  }

  /** Forgets an own event that never came into the log, to write it anew. */
  forget(seq: number): void {
    this.db.prepare('DELETE FROM outbox WHERE seq = ? AND sent = 0').run(seq);
  }

  /** The log has lost an own event that it had. */
  markUnsent(seq: number): void {
    this.db.prepare('UPDATE outbox SET sent = 0, sequence = NULL WHERE seq = ?').run(seq);
  }

  /** How many own events are not in the log yet. */
  unsent(): number {
    return this.db.prepare('SELECT count(*) FROM outbox WHERE sent = 0').pluck().get() as number;
  }

  /** @param sequence where it stands in the log. */
  markSent(seq: number, sequence?: number): void {
    this.db.prepare('UPDATE outbox SET sent = 1, sequence = ? WHERE seq = ?').run(sequence ?? null, seq);
  }
}
