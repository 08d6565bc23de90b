import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

/** What is named is no file, or too large a one. */
export class NoPlainFile extends Error {
  override readonly name = 'NoPlainFile';
}

/**
 * The bytes of a plain file that a person named. A device or a pipe would be read for ever.
 * @throws {NoPlainFile} a predicate, like "is no plain file". @throws as {@link openSync} does.
 */
export const readPlainFile = (file: string, atMostBytes: number): Buffer => {
  // Without O_NONBLOCK the opening of a pipe waits for somebody who writes to it.
  const opened = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = fstatSync(opened);
    if (!found.isFile()) throw new NoPlainFile('is no plain file');
    if (found.size > atMostBytes)
      throw new NoPlainFile(`has ${found.size} bytes, at most ${atMostBytes} are read`);
    return readFileSync(opened);
  } finally {
    closeSync(opened);
  }
};
