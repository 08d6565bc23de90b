import { mkdir } from 'node:fs/promises';
import type { Run } from '../../../host/run.ts';

/** Copies the PKGBUILD's folder to its constant place. Files that did not change keep their mtime. */
export const placePackage = async (run: Run, from: string, to: string): Promise<void> => {
  await mkdir(to, { recursive: true });
  await run(
    [
      'rsync',
      '--recursive',
      '--links',
      '--perms',
      '--chmod=D755,Fgo+r,Fgo-w',
      '--checksum',
      '--delete',
      '--force',
      '--',
      `${from}/`,
      `${to}/`,
    ],
    { quiet: true },
  );
};
