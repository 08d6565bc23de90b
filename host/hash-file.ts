import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** Returns the size and the sha256, in hexadecimal, of a local file as it is now. */
export const hashFile = async (file: string): Promise<{ sizeBytes: number; sha256: string }> => {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const piece of createReadStream(file)) {
    hash.update(piece);
    sizeBytes += piece.length;
  }
  return { sizeBytes, sha256: hash.digest('hex') };
};
