import { readFileSync } from 'node:fs';
import { link, rm, writeFile } from 'node:fs/promises';
import { defaultLabFolder } from '../lab/lab-places.ts';
import { defaultSandboxFolder, type SandboxPlaces } from './places.ts';
import { identify, isRunning, type ProcessIdentity } from './process-identity.ts';

/** The living process that holds the sandbox: its supervisor, or somebody who sets it up. */
export const sandboxHolder = ({ lock }: Pick<SandboxPlaces, 'lock'>): ProcessIdentity | undefined => {
  try {
    const holder = JSON.parse(readFileSync(lock, 'utf8')) as ProcessIdentity;
    return isRunning(holder) ? holder : undefined;
  } catch {
    return undefined; // there is none
  }
};

/**
 * Takes a lock for this process. Gives the way to let it go; a process that ends lets go as well.
 * @returns undefined if another living process holds it.
 */
export const takeLock = async (lock: string): Promise<(() => Promise<void>) | undefined> => {
  const mine = identify(process.pid);
  if (!mine) throw new Error('/proc does not show this process');
  const draft = `${lock}.${process.pid}`;
  await writeFile(draft, JSON.stringify(mine));
  try {
    for (;;) {
      // A link is made whole or not at all: who reads the lock finds a holder in it.
      const taken = await link(draft, lock).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code !== 'EEXIST') throw error;
          return false;
        },
      );
      if (taken) return () => rm(lock, { force: true });
      if (sandboxHolder({ lock })) return undefined;
      await rm(lock, { force: true });
    }
  } finally {
    await rm(draft, { force: true });
  }
};

/** The command that stops what runs there. Of a fleet that is being set up nobody knows yet what its board will be. */
export const howToStop = ({ folder, marker }: Pick<SandboxPlaces, 'folder' | 'marker'>): string => {
  let isLab = folder === defaultLabFolder();
  try {
    isLab ||= JSON.parse(readFileSync(marker, 'utf8')).board === 'virtual';
  } catch {
    // there is no marker yet
  }
  const [command, usual] = isLab ? ['ka lab down', defaultLabFolder()] : ['ka down', defaultSandboxFolder()];
  return `stop it with \`${command}${folder === usual ? '' : ` --dir ${folder}`}\` first`;
};

/**
 * Takes the sandbox for this process, as {@link takeLock} does.
 * @throws {Error} if another one holds it.
 */
export const holdSandbox = async (places: SandboxPlaces): Promise<() => Promise<void>> => {
  const letGo = await takeLock(places.lock);
  if (letGo) return letGo;
  const holder = sandboxHolder(places);
  throw new Error(
    `a sandbox fleet runs in ${places.folder} (process ${holder?.pid ?? 'just ended'}); ${howToStop(places)}`,
  );
};
