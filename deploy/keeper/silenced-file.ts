import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { Silenced } from '../../eventlog/live/keeping.ts';

const SilencedFile = z.object({ silenced: z.array(Silenced) });

/** The writers that are silenced; none if there is no such file. @throws if the file can't be read. */
export const readSilenced = (file: string): Silenced[] => {
  if (!existsSync(file)) return [];
  const read = SilencedFile.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (read.success) return read.data.silenced;
  throw new Error(`${file} can't be read as a list of silenced writers: ${z.prettifyError(read.error)}`);
};

/** Writes a file in one step: whoever reads it sees the one before, or this one. */
export const writeWhole = (file: string, text: string): void => {
  writeFileSync(`${file}.part`, text, { mode: 0o600 });
  renameSync(`${file}.part`, file);
};

export const writeSilenced = (file: string, silenced: readonly Silenced[]): void =>
  writeWhole(file, `${JSON.stringify({ silenced }, null, 2)}\n`);
