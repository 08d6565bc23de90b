import { type NatsConnection, NatsError } from 'nats';
import { type BlobMarker, isBlob } from '../../schemas/blob-marker.ts';
import { FleetName } from '../../schemas/names.ts';
import type { Blob } from '../signing/put-aside.ts';
import { directGet } from './direct-get.ts';
import { endNamedBy, lastSequenceOf } from './log-end.ts';
import { blobStream } from './provision.ts';

/**
 * A blob is split into messages of this size. The number is part of the format: another one would contradict stored
 * blobs.
 */
export const chunkBytes = 512 * 1024;

/** Whose blob it is: each writer publishes its own. */
export interface BlobPlace {
  fleet: string;
  writer: string;
}

const subjectOfChunk = ({ fleet, writer }: BlobPlace, sha256: string, index: number): string =>
  ['ka-blob', FleetName.parse(fleet), writer, sha256, String(index)].join('.');

const chunksOf = (sizeBytes: number): number => Math.ceil(sizeBytes / chunkBytes);

/** A blob can't be stored. The message is one sentence for a person, with the next thing to do. */
export class BlobFault extends Error {
  override readonly name = 'BlobFault';
}

/** The stream does not exist. */
export const isNobodyThere = (error: unknown): boolean => error instanceof NatsError && error.code === '503';
/** The stream is as large as it may be. */
const isFull = (error: unknown): boolean => error instanceof NatsError && error.api_error?.err_code === 10077;

/** What to do about a chunk that is there with other bytes than its name says. */
export type WrongChunk = 'refuse' | 'replace';

const putChunk = async (
  connection: NatsConnection,
  subject: string,
  bytes: Uint8Array,
  wrong: WrongChunk,
  after = 0,
): Promise<void> => {
  try {
    await connection.jetstream().publish(subject, bytes, { expect: { lastSubjectSequence: after } });
  } catch (error) {
    if (isNobodyThere(error))
      throw new BlobFault('nats-server holds no stream for blobs; next: ka fleet make-log', { cause: error });
    if (isFull(error))
      throw new BlobFault(`the stream of blobs is full: ${subject} was not taken`, { cause: error });
    if (endNamedBy(error) === undefined) throw error;
    const there = await directGet(connection, { subject }, { stream: blobStream });
    if (there && Buffer.compare(there.bytes, bytes) === 0) return;
    // Nothing is deleted: readers take the last message of a chunk's subject. If it is replaced once more meanwhile, that is a fault.
    if (there && wrong === 'replace' && after === 0)
      return putChunk(connection, subject, bytes, wrong, there.sequence);
    throw new BlobFault(`${subject} holds other bytes than its name says; next: ka log restore`, {
      cause: error,
    });
  }
};

/**
 * Puts a writer's blob into its stream. A right chunk that is there already stays.
 * @param wrong what to do about a chunk with other bytes. Its writer refuses to go on, since somebody uses its name; a
 * restore replaces the chunk.
 * @throws {BlobFault} if a chunk is refused. @throws if the server does not answer.
 */
export const putBlob = async (
  connection: NatsConnection,
  place: BlobPlace,
  blob: Blob,
  wrong: WrongChunk = 'refuse',
): Promise<void> => {
  for (let index = 0; index < chunksOf(blob.bytes.length); index += 1)
    await putChunk(
      connection,
      subjectOfChunk(place, blob.sha256, index),
      blob.bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes),
      wrong,
    );
};

/** A writer's blob, or why it can't be read. A wrong chunk counts as a missing one. */
export type ReadBlob = { bytes: Uint8Array } | { lacks: string };

/** Reads a blob, given its writer and the marker in an event. */
export type BlobSource = (writer: string, marker: BlobMarker) => Promise<ReadBlob>;

/** Reads a writer's blob. @throws if the server does not answer. */
export const readBlob = async (
  connection: NatsConnection,
  place: BlobPlace,
  marker: BlobMarker,
): Promise<ReadBlob> => {
  const chunks: Uint8Array[] = [];
  const count = chunksOf(marker.sizeBytes);
  for (let index = 0; index < count; index += 1) {
    const subject = subjectOfChunk(place, marker.sha256, index);
    const found = await directGet(connection, { subject }, { stream: blobStream });
    if (!found) return { lacks: `chunk ${index + 1} of ${count} is missing` };
    chunks.push(found.bytes);
  }
  const bytes = Buffer.concat(chunks);
  return isBlob(marker, bytes) ? { bytes } : { lacks: `its ${count} chunks are not what its hash says` };
};

/**
 * Whether one of this writer's own blobs is in the stream, judged by its last chunk: a stream that loses messages loses
 * its end. No blob's bytes are transferred, and the right to write the blob is enough.
 */
export const holdsBlob = async (
  connection: NatsConnection,
  place: BlobPlace,
  { sha256, sizeBytes }: BlobMarker,
): Promise<boolean> =>
  (await lastSequenceOf(connection, subjectOfChunk(place, sha256, chunksOf(sizeBytes) - 1))) > 0;
