import { open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { syncPath } from '../../runtime/sync-path.ts';

/**
 * Writes JSON so that a power cut leaves the old file or the new one, whole, and the new one once this returns. Two
 * processes may write the same file: the later one counts.
 */
export const writeDurably = async (file: string, value: unknown): Promise<void> => {
  const partFile = `${file}.${process.pid}.part`;
  try {
    const part = await open(partFile, 'w', 0o600);
    try {
      await part.writeFile(`${JSON.stringify(value, undefined, 2)}\n`);
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
 * Moves a file, for good once this returns. Of two who move the same one, one does.
 * @returns Whether it was there to be moved.
 */
export const moveDurably = async (from: string, to: string): Promise<boolean> => {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  await syncPath(dirname(to));
  return true;
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
