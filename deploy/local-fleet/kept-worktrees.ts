import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Making, SandboxExample } from '../examples/example.ts';
import { takeLock } from '../processes/lock.ts';
import { makeOpenFolder } from './open-folder.ts';

const lockOf = (folder: string) => join(folder, 'lock');

/** Removes the worktrees of other keys, each some gigabytes, unless a fleet builds in them. */
const removeOthers = async (cacheFolder: string, prefix: string, kept: string): Promise<void> => {
  for (const name of await readdir(cacheFolder)) {
    if (!name.startsWith(prefix) || name === kept) continue;
    const folder = join(cacheFolder, name);
    const letGo = await takeLock(lockOf(folder));
    if (letGo) await rm(folder, { recursive: true, force: true });
  }
};

/**
 * The folder in the cache in which an example's builders find the worktrees of the previous sandbox, with everything
 * that was compiled there. Its path is always the same, since packages record it.
 * @returns undefined for an example that builds fast enough without it.
 */
export const keptWorktrees = async (
  example: SandboxExample,
  making: Pick<Making, 'cacheFolder'>,
): Promise<string | undefined> => {
  if (!example.worktreesKey) return undefined;
  const { cacheFolder } = making;
  const prefix = `worktrees-${example.kernelOf ?? example.name}-`;
  const name = `${prefix}${await example.worktreesKey()}`;
  // The unprivileged build user has to be able to pass.
  for (const folder of [cacheFolder, join(cacheFolder, name)]) await makeOpenFolder(folder);
  await removeOthers(cacheFolder, prefix, name);
  return join(cacheFolder, name);
};

/**
 * Takes the kept worktrees for this process, since only one fleet may build in them.
 * @returns undefined if another fleet has them, or none are kept: then each builder uses its own folder.
 */
export const holdWorktrees = async (
  folder: string | undefined,
): Promise<{ folder: string; letGo: () => Promise<void> } | undefined> => {
  if (folder === undefined) return undefined;
  await makeOpenFolder(folder);
  const letGo = await takeLock(lockOf(folder));
  return letGo && { folder, letGo };
};
