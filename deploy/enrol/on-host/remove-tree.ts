import { lstatSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { inFolder, removeHeld } from './held-folder.ts';

/** Whether there is an entry at that path; a link is one, wherever it leads. */
export const hasEntry = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/**
 * Removes a file, or a folder with everything in it, if it is there. It may belong to a user who puts links in it
 * meanwhile: none is followed.
 * @throws {Error} if a link of somebody else's is on the way to it.
 */
export const removeTree = (path: string): void => {
  inFolder(dirname(path), (held) => {
    const place = `${held}/${basename(path)}`;
    if (hasEntry(place)) removeHeld(place);
  });
};
