import { createSayOnce } from '../../eventlog/say-once.ts';
import { BlobFault } from '../../eventlog/stream/blobs.ts';
import type { LogCopy } from './log-copy.ts';
import type { CoordinatorPorts } from './ports.ts';

const lookEveryMs = 10_000;
/** So many of the last are looked for where something may have been lost, and one otherwise: a stream loses its end. */
const inDoubt = 20;

/** Puts back what the coordinator's own events have put aside and the log has lost, from its copy. */
export const createOfferBlobs = (copy: LogCopy, { log, clock, say }: CoordinatorPorts) => {
  const telling = createSayOnce(say);
  let lookedAt = Number.NEGATIVE_INFINITY;
  let isDoubted = true;

  /** @returns whether it was there. */
  const offer = async (marker: { sha256: string; sizeBytes: number }): Promise<boolean> => {
    if (await log.holdsBlob(marker)) return true;
    const bytes = copy.blob(marker.sha256);
    if (!bytes) return false;
    await log.putBlob({ sha256: marker.sha256, bytes });
    say(`the log has lost blob ${marker.sha256}, which the coordinator's events name: it is there again`);
    return false;
  };

  return {
    /** The log may have lost something. */
    doubt() {
      isDoubted = true;
    },
    /** Looks, where it is time to. A log that does not answer is asked again. */
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
