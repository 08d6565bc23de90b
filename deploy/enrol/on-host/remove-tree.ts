import { lstatSync, rmdirSync, rmSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { asUser } from '../../../eventlog/files/as-user.ts';
import { deciderOf } from './roots-folder.ts';

/** Whether there is an entry at that path; a link is one, wherever it leads. */
export const hasEntry = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/**
 * Removes a file, or a folder with everything in it. What belongs to a user is removed as that user: while root goes
 * through it, the user could put links in the place of folders.
 */
export const removeTree = async (path: string): Promise<void> => {
  const decider = deciderOf(dirname(path));
  const seen = lstatSync(path, { throwIfNoEntry: false });
  if (!seen) return;
  const owner = decider.by === 'user' ? decider.owner : { uid: seen.uid, gid: seen.gid };
  if (owner.uid === 0) return rm(path, { recursive: true, force: true });
  try {
    if (decider.by === 'user') return asUser(owner, () => rmSync(path, { recursive: true, force: true }));
    // The folder around it is root's, so that only root can take the entry out of it.
    const place = join(decider.folder, basename(path));
    if (!seen.isDirectory()) return await rm(place, { force: true });
    for (const name of await readdir(place))
      asUser(owner, () => rmSync(join(place, name), { recursive: true, force: true }));
    rmdirSync(place);
  } catch (cause) {
    throw new Error(
      `${path} can't be removed as user ${owner.uid}, to whom it belongs (${cause instanceof Error ? cause.message : String(cause)}): see what is there, and remove it by hand`,
      { cause },
    );
  }
};
