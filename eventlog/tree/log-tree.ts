import { sha256 } from '../../schemas/hash.ts';
import type { KeptMessage } from '../signing/check-event.ts';
import { preAuthentication } from '../signing/dsse.ts';
import { leafHash, MerkleTree } from './merkle-tree.ts';

/**
 * A message without its bytes. It has enough for the tree, for its writer's chain, and to show what it does not belong
 * to.
 */
export type WithheldMessage = Omit<KeptMessage, 'bytes'> & {
  /** The sha256 of the bytes, hexadecimal. */
  sha256: string;
};

export const isWithheld = (message: KeptMessage | WithheldMessage): message is WithheldMessage =>
  'sha256' in message;

/**
 * The leaf of a message in the tree over its log. It binds the subject, the signature and the bytes. The bytes are
 * bound by their hash, so that somebody who does not see all of them can check a log, and nothing else can pass as the
 * withheld bytes.
 */
export const leafOf = (message: KeptMessage | WithheldMessage): Uint8Array => {
  const digest = isWithheld(message) ? message.sha256 : sha256(message.bytes);
  return leafHash(preAuthentication(`${message.subject}\n${message.signature}`, Buffer.from(digest, 'hex')));
};

/** The tree over a log, from its first message on. A log that was cut gets a new tree. */
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
