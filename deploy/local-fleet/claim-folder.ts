import { readdir, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { SandboxPlaces } from '../places/sandbox-places.ts';
import { makeOpenFolder } from './open-folder.ts';

type Places = Pick<SandboxPlaces, 'folder' | 'marker'>;

/** Everybody may read it, since builds run as an ordinary user. */
const openMode = 0o055;

/** The entries of a sandbox's folder besides its lock. @throws {Error} if there are some and they are no sandbox. */
export const sandboxEntries = async ({ folder, marker }: Places): Promise<string[]> => {
  const held = (await readdir(folder)).filter((name) => !/^lock(\.\d+)?$/.test(name));
  if (held.length > 0 && !held.includes(basename(marker)))
    throw new Error(`${folder} holds files and is no sandbox of kernel-agent: name another folder`);
  return held;
};

/**
 * Makes a sandbox's folder, or takes one that is a sandbox or empty. An existing folder that is no sandbox is not
 * changed, not even its mode.
 * @throws {Error} if something else is there, or an empty folder is closed to others.
 */
export const claimFolder = async (places: Places): Promise<void> => {
  const { folder } = places;
  const seen = await stat(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (!seen) return makeOpenFolder(folder);
  if (!seen.isDirectory()) throw new Error(`${folder} is no folder: name another one`);
  if ((await sandboxEntries(places)).length > 0) return makeOpenFolder(folder);
  if ((seen.mode & openMode) !== openMode)
    throw new Error(`${folder} is closed to other users, and builds run as one: chmod 755 it, or remove it`);
};
