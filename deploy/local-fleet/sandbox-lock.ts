import { readFileSync } from 'node:fs';
import { defaultLabFolder, defaultSandboxFolder } from '../places/default-folders.ts';
import type { SandboxPlaces } from '../places/sandbox-places.ts';
import { lockHolder, takeLock } from '../processes/lock.ts';
import type { ProcessIdentity } from '../processes/process-identity.ts';

/** The living process that holds the sandbox: its supervisor, or a command that sets it up. */
export const sandboxHolder = ({ lock }: Pick<SandboxPlaces, 'lock'>): ProcessIdentity | undefined =>
  lockHolder(lock);

/** The command that stops the fleet there. While a fleet is being set up, the kind of its board is not known yet. */
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
 * Takes the sandbox for this process, like {@link takeLock}.
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
