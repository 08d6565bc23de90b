import type { z } from 'zod';
import { readDurable, writeDurably } from '../../../host/durable-file.ts';

/** A JSON file that one process writes, and the value that it wrote last. */
export interface KeptFile<Value> {
  /**
   * Returns the last value, even if it could not be written; undefined if there is none. @throws {Error} if the file is
   * damaged.
   */
  read(): Promise<Value | undefined>;
  /** Never throws: a value that can't be written still counts in this process. */
  write(value: Value): Promise<void>;
}

/**
 * A file whose writes may fail, as on a full disk, without holding up what depends on it. Each read tries the write
 * again. Until one succeeds, a restart of the process loses the value.
 */
export const createKeptFile = <Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  note: (line: string) => void,
): KeptFile<z.infer<Schema>> => {
  let last: { value: z.infer<Schema>; isWritten: boolean } | undefined;
  let told = false;
  const write = async (value: z.infer<Schema>): Promise<void> => {
    last = { value, isWritten: false };
    try {
      await writeDurably(file, value);
      last = { value, isWritten: true };
      told = false;
    } catch (error) {
      if (!told) note(`${file} can't be written, and is kept in memory: ${error}`);
      told = true;
    }
  };
  return {
    read: async () => {
      if (last && !last.isWritten) await write(last.value);
      return last ? last.value : readDurable(file, schema);
    },
    write,
  };
};
