import { readFileSync } from 'node:fs';
import { link, rm, writeFile } from 'node:fs/promises';
import { identify, isRunning, type ProcessIdentity } from './process-identity.ts';

/** The living process that holds a lock file, if there is one. */
export const lockHolder = (lock: string): ProcessIdentity | undefined => {
  try {
    const holder = JSON.parse(readFileSync(lock, 'utf8')) as ProcessIdentity;
    return isRunning(holder) ? holder : undefined;
  } catch {
    return undefined; // there is none
  }
};

/**
 * Takes a lock file for this process. A process that ends releases its locks.
 * @returns the function that releases it; undefined if another living process holds it.
 */
export const takeLock = async (lock: string): Promise<(() => Promise<void>) | undefined> => {
  const mine = identify(process.pid);
  if (!mine) throw new Error('/proc does not show this process');
  const draft = `${lock}.${process.pid}`;
  await writeFile(draft, JSON.stringify(mine));
  try {
    for (;;) {
      // A link is made completely or not at all, so readers always find a holder in the lock.
      const taken = await link(draft, lock).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code !== 'EEXIST') throw error;
          return false;
        },
      );
      if (taken) return () => rm(lock, { force: true });
      if (lockHolder(lock)) return undefined;
      await rm(lock, { force: true });
    }
  } finally {
    await rm(draft, { force: true });
  }
};
