import type { Blob } from '../../../eventlog/signing/put-aside.ts';
import { type BlobMarker, blobsNamedBy } from '../../../schemas/blob-marker.ts';
import type { JournalDatabase } from './database.ts';

/** The blobs of a journal's events. */
export class Blobs {
  readonly #db: JournalDatabase;

  constructor(db: JournalDatabase) {
    this.#db = db;
  }

  keep(blobs: readonly Blob[]): void {
    for (const { sha256, bytes } of blobs)
      this.#db.statement('INSERT OR IGNORE INTO blob (sha256, bytes) VALUES (?, ?)').run(sha256, bytes);
  }

  readonly get = (sha256: string): Uint8Array | undefined =>
    this.#db.values('SELECT bytes FROM blob WHERE sha256 = ?').get(sha256) as Uint8Array | undefined;

  /** Returns the blobs that an event names, given its bytes, and those of them that are not here. */
  of(event: Uint8Array): { blobs: Blob[]; missing: BlobMarker[] } {
    const blobs: Blob[] = [];
    const missing: BlobMarker[] = [];
    for (const marker of blobsNamedBy(event)) {
      const bytes = this.get(marker.sha256);
      if (bytes) blobs.push({ sha256: marker.sha256, bytes });
      else missing.push(marker);
    }
    return { blobs, missing };
  }
}
