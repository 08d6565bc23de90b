import { type BlobLookup, isBlob } from '../../schemas/blob-marker.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { completeEvent, lacksOf, type RefusedMessage } from '../signing/check-event.ts';
import type { BlobSource, ReadBlob } from './blobs.ts';

/** Where a reader keeps blobs that it may need again. The store may drop any of them. */
export interface BlobStore {
  get: BlobLookup;
  keep(sha256: string, bytes: Uint8Array): void;
}

/** The most that one reader keeps. Events close to each other often name the same blobs. */
const keptBytes = 32 * 1024 * 1024;

/** A store that lasts as long as its reader, and drops the oldest blobs first. */
export const createBlobStore = (): BlobStore => {
  const kept = new Map<string, Uint8Array>();
  let total = 0;
  return {
    get: (sha256) => kept.get(sha256),
    keep(sha256, bytes) {
      if (kept.has(sha256)) return;
      kept.set(sha256, bytes);
      total += bytes.length;
      for (const [oldest, { length }] of kept) {
        if (total <= keptBytes) return;
        kept.delete(oldest);
        total -= length;
      }
    },
  };
};

/** An event, or why it is refused; `why` is set if the event still lacks something. */
type Completed = ({ logged: LoggedEvent } | { refused: RefusedMessage }) & { why?: string };

/** Reads what events have put aside. If the server does not answer, the blobs count as missing for now. */
export interface BlobReader {
  /** The event with what it has put aside. */
  complete(logged: LoggedEvent): Promise<Completed>;
  /** Whether everything that the event lacks can be read by now. */
  isThere(logged: LoggedEvent): Promise<boolean>;
}

const because = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const createBlobReader = (read: BlobSource, store: BlobStore): BlobReader => {
  /** Everything that an event lacks, or why the first blob that can't be read can't. */
  const fetchFor = async (logged: LoggedEvent): Promise<Map<string, Uint8Array> | { why: string }> => {
    const found = new Map<string, Uint8Array>();
    for (const marker of lacksOf(logged)) {
      const { sha256, sizeBytes } = marker;
      const kept = store.get(sha256);
      const known = kept && isBlob(marker, kept) ? kept : undefined; // a disk may have changed it
      const asked: ReadBlob = known
        ? { bytes: known }
        : await read(logged.event.source, marker).catch((error: unknown) => ({ lacks: because(error) }));
      if ('lacks' in asked)
        return { why: `blob ${sha256} (${sizeBytes} bytes), which it names, can't be read: ${asked.lacks}` };
      if (!known) store.keep(sha256, asked.bytes);
      found.set(sha256, asked.bytes);
    }
    return found;
  };
  return {
    async complete(logged) {
      const found = await fetchFor(logged);
      return 'why' in found ? { logged, ...found } : completeEvent(logged, (sha256) => found.get(sha256));
    },
    isThere: async (logged) => !('why' in (await fetchFor(logged))),
  };
};
