import type { JournalDatabase } from './database.ts';

/**
 * `position`: the log's highest sequence that was handed over and is in here, or was refused. `epoch`: the log's
 * highest epoch that a request told of. `born`: the log's last sequence when this journal was last found to lack what its
 * host had done; a request up to there may have been begun by a journal that is no more. `lacks`: the position then,
 * until it is settled. `contradicted`: there while the log was last found to hold something else. `room`: counts the
 * writes that have shown that there is room again.
 */
type Mark = 'position' | 'epoch' | 'born' | 'lacks' | 'contradicted' | 'room';

/** A journal's marks: where it stands, in numbers. */
export class Marks {
  readonly #db: JournalDatabase;

  constructor(db: JournalDatabase) {
    this.#db = db;
  }

  #read(name: Mark): number | undefined {
    return this.#db.values('SELECT value FROM mark WHERE name = ?').get(name) as number | undefined;
  }

  #raise(name: Mark, value: number): void {
    this.#db
      .statement(
        'INSERT INTO mark VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > value',
      )
      .run(name, value);
  }

  #remove(name: Mark): void {
    this.#db.statement('DELETE FROM mark WHERE name = ?').run(name);
  }

  /** The log's highest sequence that was handed over and is in here, or was refused; 0 before the first. */
  position(): number {
    return this.#read('position') ?? 0;
  }

  /** Notes that what the log holds up to `sequence` for this host is in here, or was refused. */
  notePosition(sequence: number): void {
    this.#raise('position', sequence);
  }

  /** The log ends at `sequence`, and may have ended later before it was cut: what comes then is new. */
  limitPosition(sequence: number): void {
    this.#db
      .statement("UPDATE mark SET value = ? WHERE name IN ('position', 'born') AND value > ?")
      .run(sequence, sequence);
  }

  /** Where the journal stood when it was found to lack what its host had done; undefined if it lacks nothing. */
  lacksFrom(): number | undefined {
    return this.#read('lacks');
  }

  /** The log's last sequence when the journal was last found to lack something; 0 if it never was. */
  bornAt(): number {
    return this.#read('born') ?? 0;
  }

  /** Notes that the journal lacks what its host has done until now. @param sequence the log's last. */
  noteLack(sequence: number): void {
    this.#db.inOneCommit(() => {
      this.#db.statement("INSERT INTO mark VALUES ('lacks', ?) ON CONFLICT DO NOTHING").run(this.position());
      this.#raise('born', sequence);
    });
  }

  noteSettled(): void {
    this.#remove('lacks');
  }

  /** Whether the log held something else than this journal when they were last compared. */
  isContradicted(): boolean {
    return this.#read('contradicted') !== undefined;
  }

  noteContradiction(): void {
    this.#raise('contradicted', 1);
  }

  noteNoContradiction(): void {
    this.#remove('contradicted');
  }

  /** Writes, to see whether that can be done. @throws what any write throws. */
  proveRoom(): void {
    this.#raise('room', (this.#read('room') ?? 0) + 1);
  }

  /** The log's highest epoch that a request told of. */
  epoch(): number {
    return this.#read('epoch') ?? 1;
  }

  noteEpoch(epoch: number): void {
    this.#raise('epoch', epoch);
  }
}
