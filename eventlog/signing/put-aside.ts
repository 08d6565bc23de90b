import {
  type BlobLookup,
  isMarker,
  largestBlobBytes,
  largestBlobsBytes,
  markerOf,
  mostBlobs,
} from '../../schemas/blob-marker.ts';
import { sha256 } from '../../schemas/hash.ts';

/** A value's JSON, which an event names by its hash. */
export interface Blob {
  sha256: string;
  bytes: Uint8Array;
}

/** Looks up among these blobs. */
export const lookupIn =
  (blobs: readonly Blob[]): BlobLookup =>
  (wanted) =>
    blobs.find(({ sha256 }) => sha256 === wanted)?.bytes;

/** A smaller value stays in its event: a marker takes some 120 bytes, and a blob needs a message of its own. */
const smallestBlobBytes = 4 * 1024;

/** A value that may be put aside as a whole: its place, and the length of its JSON. */
interface Heavy {
  holder: Record<string, unknown>;
  key: string;
  sizeBytes: number;
}

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const lengthOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

/**
 * Returns the length of a value's JSON, whether it names blobs already, and the values in it that may be put aside,
 * none inside another. If one part makes up most of a value, that part is put aside and not the value: the same patch
 * is then the same blob in each request.
 */
const weigh = (value: unknown): { sizeBytes: number; namesBlobs: boolean; heavy: Heavy[] } => {
  if (isMarker(value)) return { sizeBytes: lengthOf(value), namesBlobs: true, heavy: [] };
  if (typeof value !== 'object' || value === null)
    return { sizeBytes: lengthOf(value), namesBlobs: false, heavy: [] };
  const holder = value as Record<string, unknown>;
  let sizeBytes = 2;
  let namesBlobs = false;
  const heavy: Heavy[] = [];
  for (const [key, inner] of Object.entries(holder)) {
    const of = weigh(inner);
    sizeBytes += of.sizeBytes + 1 + (Array.isArray(value) ? 0 : lengthOf(key) + 1);
    namesBlobs ||= of.namesBlobs;
    const isDivided = of.heavy.some((one) => one.sizeBytes > of.sizeBytes / 2);
    // Markers inside a blob are never looked up, so a value that names a blob is not put aside.
    const isWhole = of.sizeBytes >= smallestBlobBytes && of.sizeBytes <= largestBlobBytes && !of.namesBlobs;
    if (isWhole && !isDivided) heavy.push({ holder, key, sizeBytes: of.sizeBytes });
    else heavy.push(...of.heavy);
  }
  return { sizeBytes, namesBlobs, heavy };
};

/**
 * Puts the largest values of an event's data aside, until its JSON is no longer than `limitBytes` or nothing is left to
 * put aside. For the same data the result is always the same.
 * @returns undefined if more would have to be put aside than an event may.
 */
export const putAside = (
  whole: unknown,
  limitBytes: number,
): { data: unknown; blobs: Blob[] } | undefined => {
  const data: unknown = JSON.parse(JSON.stringify(whole));
  const { sizeBytes, heavy } = weigh(data);
  const blobs = new Map<string, Blob>();
  let [left, count, total] = [sizeBytes, 0, 0];
  for (const { holder, key } of heavy.sort((a, b) => b.sizeBytes - a.sizeBytes)) {
    if (left <= limitBytes) break;
    const bytes = encode(holder[key]);
    const blob = { sha256: sha256(bytes), bytes };
    holder[key] = markerOf({ sha256: blob.sha256, sizeBytes: bytes.length });
    blobs.set(blob.sha256, blob);
    left += lengthOf(holder[key]) - bytes.length;
    count += 1;
    total += bytes.length;
  }
  return count > mostBlobs || total > largestBlobsBytes ? undefined : { data, blobs: [...blobs.values()] };
};
