import { hash as hashOf } from 'node:crypto';
import { completeEvent, type KeptMessage, lacksOf } from '../../eventlog/signing/check-event.ts';
import { leafOf } from '../../eventlog/tree/log-tree.ts';
import type { BlobLookup } from '../../schemas/blob-marker.ts';
import { type LoggedEvent, parseEvent, parseSubject } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';

/** Something that the copy of the log holds is not what was put there. */
export class DamagedCopy extends Error {
  override readonly name = 'DamagedCopy';
}

/** A message as the copy of the log keeps it. */
export interface KeptRow extends KeptMessage {
  /** The message's hash in the tree over the log, see {@link leafOf}: it shows whether the disk has changed the row. */
  leaf: Uint8Array;
  iteration: string;
  /** The event's number among those of its writer; 0 if the message is no event. */
  seq: number;
  /** What was found when the message was checked, and by which keys, see {@link markOf}. */
  checked: Uint8Array;
}

export const isEqual = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/**
 * What a check found, bound to the row and to what it was checked by: another fleet's file, or another version of this
 * program, does not take it for its own.
 * @param by names the pinned keys and the version. @param seq see {@link KeptRow}.
 */
export const markOf = (leaf: Uint8Array, by: string, seq: number): Uint8Array =>
  hashOf('sha256', Buffer.concat([leaf, Buffer.from(`${seq} ${by}`)]), 'buffer');

const iterationOf = (subject: string): string => parseSubject(subject)?.iteration ?? '';

/** The row of a message. */
export const rowOf = (message: KeptMessage, leaf: Uint8Array, by: string, seq: number): KeptRow => {
  const { sequence, subject, bytes, signature } = message;
  const checked = markOf(leaf, by, seq);
  return { sequence, subject, bytes, signature, leaf, iteration: iterationOf(subject), seq, checked };
};

/** Whether the disk has left the row as it was written. @param hash sha256 of its bytes. */
export const isIntact = (
  { sequence, subject, signature, bytes, leaf, iteration }: KeptRow,
  hash = sha256(bytes),
): boolean =>
  isEqual(leafOf({ sequence, subject, signature, sha256: hash }), leaf) && iteration === iterationOf(subject);

/**
 * @returns the sha256 of the row's bytes.
 * @throws {DamagedCopy} if the row is not as it was put there, or was checked by something else.
 */
export const mustBeChecked = (row: KeptRow, by: string): string => {
  const hash = sha256(row.bytes);
  if (isIntact(row, hash) && isEqual(row.checked, markOf(row.leaf, by, row.seq))) return hash;
  throw new DamagedCopy(
    `sequence ${row.sequence} of the copy of the log is not what was checked by these keys`,
  );
};

/** The event of a row. @throws {DamagedCopy} if a blob of the event is not there, or not what it was. */
export const eventOf = ({ sequence, subject, bytes, signature }: KeptRow, blobs: BlobLookup): LoggedEvent => {
  const logged = { sequence, subject, bytes, signature, event: parseEvent(bytes) };
  const completed = completeEvent(logged, blobs);
  if ('refused' in completed) return logged;
  if (lacksOf(completed.logged).length > 0)
    throw new DamagedCopy(`sequence ${sequence} of the copy of the log lacks a blob that it had`);
  return completed.logged;
};
