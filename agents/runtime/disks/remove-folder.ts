import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../../host/run.ts';
import { syncPath } from '../../../host/sync-path.ts';

/** What is being removed: no attempt, package or view is called so. */
const gone = '.gone-';

/** rm(1) follows no link, also where somebody changes the folder meanwhile. */
const removeTree = async (run: Run, path: string): Promise<void> => {
  await run(['rm', '-rf', '--one-file-system', '--', path], { quiet: true, timeoutMs: 3_600_000 });
};

/** Removes a file or a folder in `parent`. Its name is gone in one step, so that half of it is never taken for the whole. */
export const removeFolder = async (run: Run, parent: string, name: string): Promise<void> => {
  const aside = join(parent, `${gone}${name}`);
  await removeTree(run, aside);
  await rename(join(parent, name), aside);
  await syncPath(parent);
  await removeTree(run, aside);
};

/** The names in a folder that is cleaned, but for what a cut has left of what was being removed: that goes now. */
export const namesIn = async (run: Run, parent: string): Promise<string[]> => {
  const names = await readdir(parent).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return [];
  });
  for (const name of names) if (name.startsWith(gone)) await removeTree(run, join(parent, name));
  return names.filter((name) => !name.startsWith(gone));
};
