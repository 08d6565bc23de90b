import { z } from 'zod';
import { sha256 } from './hash.ts';
import { Sha256 } from './names.ts';

/** The most bytes of one value that is put aside, and of all that one event puts aside together. */
export const largestBlobBytes = 8 * 1024 * 1024;
export const largestBlobsBytes = 16 * 1024 * 1024;
/** How many values one event puts aside at most: a reader fetches each. */
export const mostBlobs = 1_000;

/** What stands in an event's data where a value was put aside: which bytes are the value's JSON. */
const BlobMarker = z.object({ sha256: Sha256, sizeBytes: z.int().min(1).max(largestBlobBytes) });
export type BlobMarker = z.infer<typeof BlobMarker>;

/** The bytes of this hash, where they are known. What it returns need not be checked: who asks does. */
export type BlobLookup = (sha256: string) => Uint8Array | undefined;

const markerName = '$blob';
export const markerOf = (marker: BlobMarker) => ({ [markerName]: marker });

/** In JSON this text is a name, or a text of these very letters: in any longer one its quotes would be escaped. */
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

/** No event nests deeper where its shape is known; a stack ends somewhere. */
const deepest = 50;

/** The value with what `replace` makes of each marker in it. Nothing is replaced within what that returns. */
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

/** @throws {Error} if a value names more, or more bytes, than an event may. */
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
 * The blobs that an event names, each once, by its exact bytes.
 * @throws {SyntaxError} if they are no JSON. @throws {Error} if it names what no event may.
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
 * An event's data with the values that it has put aside, or which of them are not there. A marker within such a value is
 * no marker: what is read for one event has an end.
 * @throws {Error} if it names what no event may, or a blob is no JSON.
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
