import type { z } from 'zod';
import { readDurable, writeDurably } from '../../../host/durable-file.ts';

/** A JSON file that one process writes, and what it wrote last. */
export interface KeptFile<Value> {
  /** What was written last, even if it could not be; undefined if nothing was. @throws {Error} if the file is damaged. */
  read(): Promise<Value | undefined>;
  /** Never throws: what the disk does not take counts in this process all the same. */
  write(value: Value): Promise<void>;
}

/**
 * A file that may fail to be written, as on a full disk, without holding up what depends on it. Each look at it tries
 * the write again; until one succeeds, a restart of the process forgets the value.
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
