import { open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { syncPath } from './sync-path.ts';

/**
 * Writes a file so that a power cut leaves either the old or the new content, whole, and the new content once this
 * returns. Two processes may write the same file: the later one wins. The file's mode stays as it is.
 */
export const replaceDurably = async (file: string, text: string): Promise<void> => {
  const mode = (await stat(file)).mode & 0o7777;
  await writeTextDurably(file, text, mode);
};

/** Writes JSON just as durably, in a file that only its owner can read. */
export const writeDurably = (file: string, value: unknown): Promise<void> =>
  writeTextDurably(file, `${JSON.stringify(value, undefined, 2)}\n`, 0o600);

const writeTextDurably = async (file: string, text: string, mode: number): Promise<void> => {
  const partFile = `${file}.${process.pid}.part`;
  try {
    const part = await open(partFile, 'w', mode);
    try {
      await part.chmod(mode); // whatever the umask is
      await part.writeFile(text);
      await part.sync();
    } finally {
      await part.close();
    }
    await rename(partFile, file);
  } catch (error) {
    await unlink(partFile).catch(() => undefined);
    throw error;
  }
  await syncPath(dirname(file));
};

/**
 * Moves a file; once this returns, a power cut does not undo it. If two processes move the same file, only one
 * succeeds.
 * @returns Whether it was there to be moved.
 */
export const moveDurably = async (from: string, to: string): Promise<boolean> => {
  const moved = await rename(from, to).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
  await syncPath(dirname(to)); // also if another process, or this one before a kill, has moved it
  return moved;
};

/**
 * Reads what {@link writeDurably} wrote; undefined if there is no such file.
 * @throws {Error} if it is damaged.
 */
export const readDurable = async <Schema extends z.ZodType>(
  file: string,
  schema: Schema,
): Promise<z.infer<Schema> | undefined> => {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(`${file} is damaged: look at the disk, and remove it.`, { cause });
  }
};
