import { z } from 'zod';
import { sha256 } from './hash.ts';
import { Sha256 } from './names.ts';

/** The size limit for one value that is put aside, and for all values together that one event puts aside. */
export const largestBlobBytes = 8 * 1024 * 1024;
export const largestBlobsBytes = 16 * 1024 * 1024;
/** How many values one event may put aside: a reader fetches each of them. */
export const mostBlobs = 1_000;

/** Takes the place of a value that was put aside in an event's data, and names the bytes of the value's JSON. */
const BlobMarker = z.object({ sha256: Sha256, sizeBytes: z.int().min(1).max(largestBlobBytes) });
export type BlobMarker = z.infer<typeof BlobMarker>;

/** Returns the bytes with this hash, if they are known. A lookup need not check them: its caller does. */
export type BlobLookup = (sha256: string) => Uint8Array | undefined;

const markerName = '$blob';
export const markerOf = (marker: BlobMarker) => ({ [markerName]: marker });

/** In JSON these bytes are a whole key or a whole string: inside a longer string the quotes would be escaped. */
const markerText = Buffer.from(JSON.stringify(markerName));

/** Whether an event's bytes may name blobs. Almost none do, and those are parsed once. */
export const mayNameBlobs = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(markerText);

/** Whether a value stands for one that was put aside. */
export const isMarker = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  Object.hasOwn(value, markerName) &&
  Object.keys(value).length === 1;

/** No event of a known shape nests deeper, and recursion must not overflow the stack. */
const deepest = 50;

/** Returns the value with each marker replaced by what `replace` returns for it. Nothing inside that is replaced. */
const replaceMarkers = (
  value: unknown,
  replace: (marker: BlobMarker) => unknown,
  left = deepest,
): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  if (isMarker(value)) return replace(BlobMarker.parse((value as Record<string, unknown>)[markerName]));
  if (left === 0) throw new Error(`it names blobs and nests more than ${deepest} deep`);
  if (Array.isArray(value)) return value.map((inner) => replaceMarkers(inner, replace, left - 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, replaceMarkers(inner, replace, left - 1)]),
  );
};

/** @throws {Error} if the data names more blobs, or more bytes, than an event may. */
const markersIn = (data: unknown): BlobMarker[] => {
  const found: BlobMarker[] = [];
  replaceMarkers(data, (marker) => found.push(marker));
  const sizeBytes = found.reduce((sum, marker) => sum + marker.sizeBytes, 0);
  if (found.length > mostBlobs || sizeBytes > largestBlobsBytes)
    throw new Error(
      `it names ${found.length} blobs of ${sizeBytes} bytes, at most ${mostBlobs} of ${largestBlobsBytes} are read`,
    );
  return found;
};

const eachOnce = (markers: readonly BlobMarker[]): BlobMarker[] => [
  ...new Map(markers.map((marker) => [marker.sha256, marker])).values(),
];

/**
 * Returns the blobs that an event names, each once, from the event's exact bytes.
 * @throws {SyntaxError} if the bytes are not JSON. @throws {Error} if a marker is malformed or a limit is exceeded.
 */
export const blobsNamedBy = (bytes: Uint8Array): BlobMarker[] => {
  if (!mayNameBlobs(bytes)) return [];
  const { data } = JSON.parse(new TextDecoder().decode(bytes)) as { data?: unknown };
  return eachOnce(markersIn(data));
};

/** Whether these are the bytes that a marker names. */
export const isBlob = (marker: BlobMarker, bytes: Uint8Array): boolean =>
  bytes.length === marker.sizeBytes && sha256(bytes) === marker.sha256;

/**
 * Returns an event's data with the values that it has put aside in their places, or the blobs that are missing. A
 * marker inside such a value is left as it is, which bounds what is read for one event.
 * @throws {Error} if a marker is malformed, a limit is exceeded, or a blob is not JSON.
 */
export const withBlobs = (data: unknown, lookup: BlobLookup): { data: unknown } | { lacks: BlobMarker[] } => {
  const lacks: BlobMarker[] = [];
  const values = new Map<string, unknown>();
  for (const marker of eachOnce(markersIn(data))) {
    const bytes = lookup(marker.sha256);
    if (!bytes || !isBlob(marker, bytes)) lacks.push(marker);
    else values.set(marker.sha256, JSON.parse(new TextDecoder().decode(bytes)));
  }
  if (lacks.length > 0) return { lacks };
  if (values.size === 0) return { data };
  return { data: replaceMarkers(data, (marker) => values.get(marker.sha256)) };
};
