import { readFileSync } from 'node:fs';
import { link, rm, writeFile } from 'node:fs/promises';
import type { SandboxPlaces } from './places.ts';
import { identify, isRunning, type ProcessIdentity } from './process-identity.ts';

/** The living process that holds the sandbox: its supervisor, or somebody who sets it up. */
export const sandboxHolder = ({ lock }: SandboxPlaces): ProcessIdentity | undefined => {
  try {
    const holder = JSON.parse(readFileSync(lock, 'utf8')) as ProcessIdentity;
    return isRunning(holder) ? holder : undefined;
  } catch {
    return undefined; // there is none
  }
};

/**
 * Takes the sandbox for this process. Gives the way to let it go; a process that ends lets go as well.
 * @throws {Error} if another one holds it.
 */
export const holdSandbox = async (places: SandboxPlaces): Promise<() => Promise<void>> => {
  const mine = identify(process.pid);
  if (!mine) throw new Error('/proc does not show this process');
  const draft = `${places.lock}.${process.pid}`;
  await writeFile(draft, JSON.stringify(mine));
  try {
    for (;;) {
      // A link is made whole or not at all: who reads the lock finds a holder in it.
      const taken = await link(draft, places.lock).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code !== 'EEXIST') throw error;
          return false;
        },
      );
      if (taken) return () => rm(places.lock, { force: true });
      const holder = sandboxHolder(places);
      if (holder)
        throw new Error(
          `a sandbox fleet runs in ${places.folder} (process ${holder.pid}); stop it with \`ka down\` first`,
        );
      await rm(places.lock, { force: true });
    }
  } finally {
    await rm(draft, { force: true });
  }
};
