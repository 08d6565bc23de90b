import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

/** The path does not name a plain file, or the file is too large. */
export class NoPlainFile extends Error {
  override readonly name = 'NoPlainFile';
}

/**
 * Reads a plain file that a person named. Reading a device or a pipe would never end.
 * @throws {NoPlainFile} a predicate, like "is no plain file". @throws as {@link openSync} does.
 */
export const readPlainFile = (file: string, atMostBytes: number): Buffer => {
  // Without O_NONBLOCK, opening a pipe waits for a process that writes to it.
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
