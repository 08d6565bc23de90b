import { JournalMarks } from './journal-marks.ts';

/** What the coordinator has signed of the log, as this host was told it. */
export interface KeptCheckpoint {
  epoch: number;
  /** How many messages it covers. */
  size: number;
  /** RFC 6962 root over them, base64. */
  root: string;
}

/** A journal's checkpoints: all that this host was ever told, so that what is told once more is known again. */
export class JournalCheckpoints extends JournalMarks {
  /** The one that covers most, of the last epoch. */
  lastCheckpoint(): KeptCheckpoint | undefined {
    return this.db
      .prepare('SELECT epoch, size, root FROM checkpoint ORDER BY epoch DESC, size DESC LIMIT 1')
      .get() as KeptCheckpoint | undefined;
  }

  /** The root of this size, if it was told. */
  rootOf(epoch: number, size: number): string | undefined {
    return this.db
      .prepare('SELECT root FROM checkpoint WHERE epoch = ? AND size = ?')
      .pluck()
      .get(epoch, size) as string | undefined;
  }

  noteCheckpoint({ epoch, size, root }: KeptCheckpoint): void {
    this.db.prepare('INSERT OR IGNORE INTO checkpoint VALUES (?, ?, ?)').run(epoch, size, root);
  }

  /** Why this host does not go on: the log is not the one that it knew. */
  fork(): { epoch: number; why: string } | undefined {
    return this.db.prepare('SELECT epoch, why FROM fork ORDER BY epoch DESC LIMIT 1').get() as
      | { epoch: number; why: string }
      | undefined;
  }

  noteFork(epoch: number, why: string): void {
    this.db.prepare('INSERT OR IGNORE INTO fork VALUES (?, ?)').run(epoch, why);
  }

  /** A later epoch has begun: what was before it is settled. */
  settleForks(epoch: number): void {
    this.db.prepare('DELETE FROM fork WHERE epoch < ?').run(epoch);
  }
}
