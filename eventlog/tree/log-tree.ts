import { sha256 } from '../../schemas/hash.ts';
import type { KeptMessage } from '../signing/check-event.ts';
import { preAuthentication } from '../signing/dsse.ts';
import { leafHash, MerkleTree } from './merkle-tree.ts';

/** A message of which only this is shown: enough for the tree, for its writer's chain, and to see what it is no part of. */
export type WithheldMessage = Omit<KeptMessage, 'bytes'> & {
  /** Of its bytes, hexadecimal. */
  sha256: string;
};

export const isWithheld = (message: KeptMessage | WithheldMessage): message is WithheldMessage =>
  'sha256' in message;

/**
 * The leaf of a message in the tree over its log. It binds the subject, the signature and the bytes; the bytes by their hash, so
 * that a log can be checked by somebody who is not shown all of them, and nothing can pass as what is not shown.
 */
export const leafOf = (message: KeptMessage | WithheldMessage): Uint8Array => {
  const digest = isWithheld(message) ? message.sha256 : sha256(message.bytes);
  return leafHash(preAuthentication(`${message.subject}\n${message.signature}`, Buffer.from(digest, 'hex')));
};

/** The tree over a log, from its first message on. A log that was cut has a new one. */
export class LogTree extends MerkleTree {
  /** @throws {RangeError} if the message is not the next one. */
  add(message: KeptMessage | WithheldMessage): void {
    if (message.sequence !== this.size + 1)
      throw new RangeError(
        `the tree covers ${this.size} messages of the log, and does not go on with the one at sequence ${message.sequence}`,
      );
    this.append(leafOf(message));
  }
}
