import { createSayOnce } from '../../eventlog/say-once.ts';
import { BlobFault } from '../../eventlog/stream/blobs.ts';
import type { LogCopy } from './log-copy.ts';
import type { CoordinatorPorts } from './ports.ts';

const lookEveryMs = 10_000;
/**
 * How many of the newest blobs are looked for after a possible loss; otherwise one is. A stream loses its newest
 * messages first.
 */
const inDoubt = 20;

/** Puts back, from the copy, the blobs of the coordinator's own events that the log has lost. */
export const createOfferBlobs = (copy: LogCopy, { log, clock, say }: CoordinatorPorts) => {
  const telling = createSayOnce(say);
  let lookedAt = Number.NEGATIVE_INFINITY;
  let isDoubted = true;

  /** @returns whether the log held the blob. */
  const offer = async (marker: { sha256: string; sizeBytes: number }): Promise<boolean> => {
    if (await log.holdsBlob(marker)) return true;
    const bytes = copy.blob(marker.sha256);
    if (!bytes) return false;
    await log.putBlob({ sha256: marker.sha256, bytes });
    say(`the log has lost blob ${marker.sha256}, which the coordinator's events name: it is there again`);
    return false;
  };

  return {
    /** Notes that the log may have lost something. */
    doubt() {
      isDoubted = true;
    },
    /** Looks, if it is time to. If the log does not answer, the next call tries again. */
    async look(): Promise<void> {
      if (!isDoubted && clock.now() - lookedAt < lookEveryMs) return;
      const wanted = isDoubted ? inDoubt : 1;
      let found = 0;
      try {
        for (const marker of copy.ownBlobs()) {
          if (await offer(marker)) found += 1;
          if (found >= wanted) break;
        }
        telling.over();
        isDoubted = false;
        lookedAt = clock.now();
      } catch (error) {
        if (error instanceof BlobFault) telling.trouble(error, 'ALARM: ');
      }
    },
  };
};
