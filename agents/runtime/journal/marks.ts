import type { JournalDatabase } from './database.ts';

/**
 * `position`: the log's highest sequence that was delivered and is in the journal, or was refused. `epoch`: the highest
 * epoch of the log that a request named. `born`: the log's last sequence when this journal was last found to lack what
 * its host had done; a request up to there may have been begun under a journal that was lost. `lacks`: the position at
 * that time, until the lack is settled. `contradicted`: set while the last comparison found that the log contradicts
 * the journal. `room`: counts the writes that have proved that there is room again.
 */
type Mark = 'position' | 'epoch' | 'born' | 'lacks' | 'contradicted' | 'room';

/** A journal's marks: its state in numbers. */
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

  /** The log's highest sequence that was delivered and is in the journal, or was refused; 0 before the first. */
  position(): number {
    return this.#read('position') ?? 0;
  }

  /** Notes that what the log holds for this host up to `sequence` is in the journal, or was refused. */
  notePosition(sequence: number): void {
    this.#raise('position', sequence);
  }

  /** The log ends at `sequence`, and may have ended later before it was cut. Messages after that are new. */
  limitPosition(sequence: number): void {
    this.#db
      .statement("UPDATE mark SET value = ? WHERE name IN ('position', 'born') AND value > ?")
      .run(sequence, sequence);
  }

  /** The journal's position when it was found to lack what its host had done; undefined if it lacks nothing. */
  lacksFrom(): number | undefined {
    return this.#read('lacks');
  }

  /** The log's last sequence when the journal was last found to lack something; 0 if it never was. */
  bornAt(): number {
    return this.#read('born') ?? 0;
  }

  /** Notes that the journal lacks what its host has done until now. @param sequence the log's last sequence. */
  noteLack(sequence: number): void {
    this.#db.inOneCommit(() => {
      this.#db.statement("INSERT INTO mark VALUES ('lacks', ?) ON CONFLICT DO NOTHING").run(this.position());
      this.#raise('born', sequence);
    });
  }

  noteSettled(): void {
    this.#remove('lacks');
  }

  /** Whether the log contradicted this journal when they were last compared. */
  isContradicted(): boolean {
    return this.#read('contradicted') !== undefined;
  }

  noteContradiction(): void {
    this.#raise('contradicted', 1);
  }

  noteNoContradiction(): void {
    this.#remove('contradicted');
  }

  /** Writes something, to find out whether there is room. @throws what any write throws. */
  proveRoom(): void {
    this.#raise('room', (this.#read('room') ?? 0) + 1);
  }

  /** The highest epoch of the log that a request named; 1 before the first. */
  epoch(): number {
    return this.#read('epoch') ?? 1;
  }

  noteEpoch(epoch: number): void {
    this.#raise('epoch', epoch);
  }
}
