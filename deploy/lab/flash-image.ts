import { open, rename, rm, writeFile } from 'node:fs/promises';
import type { Run } from '../../host/run.ts';
import { syncPath } from '../../host/sync-path.ts';
import { bootEnvironment, flash } from './boot-environment.ts';

/**
 * Makes the flash of a board that never had a trial: U-Boot's environment, and an erased sector for the trial's
 * environment. The image is made beside its place and renamed.
 */
export const makeFlashImage = async (run: Run, file: string): Promise<void> => {
  const [text, part] = [`${file}.txt`, `${file}.part`];
  await writeFile(text, bootEnvironment);
  await run(['mkenvimage', '-s', String(flash.environmentBytes), '-o', part, text]);
  const image = await open(part, 'r+');
  try {
    await image.write(Buffer.alloc(flash.sectorBytes, 0xff), 0, flash.sectorBytes, flash.trial.offset);
    await image.truncate(flash.sizeBytes);
  } finally {
    await image.close();
  }
  await syncPath(part);
  await rename(part, file);
  await rm(text);
};
