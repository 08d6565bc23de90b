import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from '../deploy/cache/cache.ts';
import { defaultCacheFolder } from '../deploy/places/default-folders.ts';

/** Runs one at a time over all processes. The lock is its holder's: a worker that is killed leaves none. */
const alone = async <Result>(lock: string, act: () => Promise<Result>): Promise<Result> => {
  const holder = spawn('flock', ['--no-fork', lock, 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'close');
  try {
    await once(holder, 'spawn');
    holder.stdin.on('error', () => undefined); // the exit says it
    holder.stdin.write('held\n');
    const failed = ended.then(([code]) => {
      throw new Error(`flock ${lock} ended with exit code ${code}`);
    });
    failed.catch(() => undefined); // it ends for good, later
    await Promise.race([once(holder.stdout, 'data'), failed]);
    return await act();
  } finally {
    holder.stdin.end();
    await ended.catch(() => undefined); // it was never there
  }
};

/**
 * Makes what takes long once a machine: the first test that asks makes it, the others wait, later runs find it. Nobody may
 * change it then. It is kept where the sandbox keeps what it makes, and may be deleted whenever no test runs.
 * @param name has to tell what it is made from, by `cacheKey`, and by a number that grows when `make` does something else.
 * @param make puts it into the folder that it is given, which has another name afterwards. Its owner alone can read it.
 * @returns The folder that holds it.
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
      // Who waits for this very file looks for the folder first, as whoever makes another does.
      await rm(lock, { force: true });
    }
  });
};
