import type Database from 'better-sqlite3';

/**
 * `position`: the log's highest sequence that was handed over and is in here, or was refused. `epoch`: the log's
 * highest epoch that a request told of. `born`: the log's last sequence when this journal was last found to lack what its
 * host had done; a request up to there may have been begun by a journal that is no more. `lacks`: the position then,
 * until it is settled. `contradicted`: there while the log was last found to hold something else. `room`: counts the
 * writes that have shown that there is room again.
 */
type Mark = 'position' | 'epoch' | 'born' | 'lacks' | 'contradicted' | 'room';

/** A journal's marks: where it stands, in numbers. */
export class JournalMarks {
  protected readonly db: Database.Database;

  protected constructor(db: Database.Database) {
    this.db = db;
  }

  /** All that `work` writes is on the disk, or nothing of it. */
  inOneCommit<Result>(work: () => Result): Result {
    return this.db.transaction(work)();
  }

  private mark(name: Mark): number | undefined {
    return this.db.prepare('SELECT value FROM mark WHERE name = ?').pluck().get(name) as number | undefined;
  }

  protected raise(name: Mark, value: number): void {
    this.db
      .prepare(
        'INSERT INTO mark VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > value',
      )
      .run(name, value);
  }

  /** The log's highest sequence that was handed over and is in here, or was refused; 0 before the first. */
  position(): number {
    return this.mark('position') ?? 0;
  }

  /** Notes that what the log holds up to `sequence` for this host is in here, or was refused. */
  notePosition(sequence: number): void {
    this.raise('position', sequence);
  }

  /** The log ends at `sequence`, and may have ended later before it was cut: what comes then is new. */
  limitPosition(sequence: number): void {
    this.db
      .prepare("UPDATE mark SET value = ? WHERE name IN ('position', 'born') AND value > ?")
      .run(sequence, sequence);
  }

  /** Where the journal stood when it was found to lack what its host had done; undefined if it lacks nothing. */
  lacksFrom(): number | undefined {
    return this.mark('lacks');
  }

  /** The log's last sequence when the journal was last found to lack something; 0 if it never was. */
  bornAt(): number {
    return this.mark('born') ?? 0;
  }

  /** Notes that the journal lacks what its host has done until now. @param sequence the log's last. */
  noteLack(sequence: number): void {
    this.inOneCommit(() => {
      this.db.prepare("INSERT INTO mark VALUES ('lacks', ?) ON CONFLICT DO NOTHING").run(this.position());
      this.raise('born', sequence);
    });
  }

  noteSettled(): void {
    this.db.prepare("DELETE FROM mark WHERE name = 'lacks'").run();
  }

  /** Whether the log held something else than this journal when they were last compared. */
  isContradicted(): boolean {
    return this.mark('contradicted') !== undefined;
  }

  noteContradiction(): void {
    this.raise('contradicted', 1);
  }

  noteNoContradiction(): void {
    this.db.prepare("DELETE FROM mark WHERE name = 'contradicted'").run();
  }

  /** Writes, to see whether that can be done. @throws what any write throws. */
  proveRoom(): void {
    this.raise('room', (this.mark('room') ?? 0) + 1);
  }

  /** The log's highest epoch that a request told of. */
  epoch(): number {
    return this.mark('epoch') ?? 1;
  }

  /** The newest of a writer's keys that something for this host was signed with; undefined before the first. */
  newestKey(writer: string): string | undefined {
    return this.db.prepare('SELECT public_key FROM newest_key WHERE writer = ?').pluck().get(writer) as
      | string
      | undefined;
  }

  noteNewestKey(writer: string, publicKey: string): void {
    this.db
      .prepare(
        'INSERT INTO newest_key VALUES (?, ?) ON CONFLICT (writer) DO UPDATE SET public_key = excluded.public_key',
      )
      .run(writer, publicKey);
  }
}
