import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from '../deploy/cache/cache.ts';
import { defaultCacheFolder } from '../deploy/places/default-folders.ts';

/** Runs one call at a time over all processes. The holder process has the lock, so a killed worker leaves none. */
const alone = async <Result>(lock: string, act: () => Promise<Result>): Promise<Result> => {
  const holder = spawn('flock', ['--no-fork', lock, 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'close');
  try {
    await once(holder, 'spawn');
    holder.stdin.on('error', () => undefined); // the exit code reports it
    holder.stdin.write('held\n');
    const failed = ended.then(([code]) => {
      throw new Error(`flock ${lock} ended with exit code ${code}`);
    });
    failed.catch(() => undefined); // it ends normally later
    await Promise.race([once(holder.stdout, 'data'), failed]);
    return await act();
  } finally {
    holder.stdin.end();
    await ended.catch(() => undefined); // it never started
  }
};

/**
 * Makes an expensive folder once per machine: the first test that asks makes it, the others wait, later runs find it.
 * It must not be changed afterwards. It is kept in the sandbox's cache folder, and may be deleted whenever no test
 * runs.
 * @param name has to identify the inputs, by `cacheKey`, and the version of `make`, by a number that grows when it
 * changes.
 * @param make fills the given folder, which is renamed afterwards. Only its owner can read it.
 * @returns the folder.
 */
export const madeOnce = async (name: string, make: (folder: string) => Promise<void>): Promise<string> => {
  const cacheFolder = join(defaultCacheFolder(), 'tests');
  const folder = join(cacheFolder, name);
  if (existsSync(folder)) return folder;
  await mkdir(cacheFolder, { recursive: true });
  const lock = `${folder}.lock`;
  return alone(lock, async () => {
    try {
      return await cached(cacheFolder, name, make);
    } finally {
      // A waiter for this lock file looks for the folder first, and so does the maker of a new lock file.
      await rm(lock, { force: true });
    }
  });
};
