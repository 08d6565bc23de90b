import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { isEntryMissing, type Owner } from './owner.ts';
import { deciderOf } from './roots-folder.ts';

// A user can put a link in the place of a folder at any moment. What root does in a user's folder therefore happens in
// folders that are held open: `/proc/self/fd/N/name` is `name` in the open folder N, wherever that is now, proc(5). No
// folder is opened through a link (O_NOFOLLOW), and a change of owner or mode goes to what is open. Node has no openat().

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const below = (folder: number): string => `/proc/self/fd/${folder}`;
const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;

/** Folders that are not there are made, for that owner. */
interface Making {
  owner: Owner;
}

const makeBelow = (at: string, { owner }: Making): number => {
  mkdirSync(at, 0o755);
  const folder = openSync(at, folderFlags);
  // In the place of the new one, the user could have moved another folder of root's that is in theirs.
  if (readdirSync(below(folder)).length > 0) {
    closeSync(folder);
    throw new Error(
      `somebody else puts folders in the place of ${at}: see what runs there, then enrol again`,
    );
  }
  fchownSync(folder, owner.uid, owner.gid);
  return folder;
};

const openBelow = (
  held: string,
  name: string,
  path: string,
  make: Making | undefined,
): number | undefined => {
  const at = `${held}/${name}`;
  try {
    return openSync(at, folderFlags);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return make ? makeBelow(at, make) : undefined;
    if (codeOf(error) !== 'ELOOP' && codeOf(error) !== 'ENOTDIR') throw error;
    throw new Error(
      `${path} leads through ${name}, which is a link or no folder: see who has put it there, and remove it`,
      { cause: error },
    );
  }
};

/**
 * Does something in a folder that may be a user's, while that is held open.
 * @param act gets the path of the open folder; it has to be synchronous.
 * @returns what it returns; undefined if the folder is not there.
 * @throws {Error} if a link of somebody else's is on the way.
 */
export const inFolder = <T>(
  path: string,
  act: (held: string, folder: number) => T,
  make?: Making,
): T | undefined => {
  const decider = deciderOf(path);
  const [start, rest] = decider.by === 'root' ? [decider.folder, []] : [decider.at, decider.rest];
  let folder: number | undefined;
  try {
    folder = openSync(start, folderFlags);
  } catch (error) {
    if (isEntryMissing(error)) return undefined;
    throw error;
  }
  try {
    for (const name of rest) {
      if (name === '..') throw new Error(`${path} holds "..": name it without`);
      const next = openBelow(below(folder), name, path, make);
      closeSync(folder);
      folder = next;
      if (folder === undefined) return undefined;
    }
    return act(below(folder), folder);
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
};

/**
 * Reads a user's file in a folder that is held open.
 * @param path its name for people.
 * @returns undefined if it is not there. @throws {Error} if it is a link, no file, or somebody else's.
 */
export const readHeld = (held: string, name: string, owner: Owner, path: string): string | undefined => {
  let file: number;
  try {
    file = openSync(`${held}/${name}`, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    if (codeOf(error) !== 'ELOOP') throw error;
    throw new Error(`${path} is a link, and a file was expected: see who has put it there, and remove it`, {
      cause: error,
    });
  }
  try {
    const seen = fstatSync(file);
    if (!seen.isFile() || seen.uid !== owner.uid)
      throw new Error(
        `${path} is no file of user ${owner.uid}, but belongs to user ${seen.uid}: see who has put it there, and remove it`,
      );
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
};

/** Puts a user's file in a folder that is held open, complete or not at all. */
export const putHeld = (
  held: string,
  name: string,
  { text, mode, owner }: { text: string; mode: number; owner: Owner },
): void => {
  const part = `${held}/${name}.part`;
  rmSync(part, { force: true });
  const file = openSync(part, 'wx', 0o600);
  try {
    writeSync(file, text);
    fchownSync(file, owner.uid, owner.gid);
    fchmodSync(file, mode);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(part, `${held}/${name}`);
};

/** Removes what is at a path in a folder that is held open, with everything in it, and follows no link. */
export const removeHeld = (path: string): void => {
  let folder: number | undefined;
  if (lstatSync(path).isDirectory())
    try {
      folder = openSync(path, folderFlags);
    } catch (error) {
      if (codeOf(error) !== 'ELOOP' && codeOf(error) !== 'ENOTDIR') throw error;
    }
  if (folder === undefined) {
    unlinkSync(path);
    return;
  }
  try {
    for (const name of readdirSync(below(folder))) removeHeld(`${below(folder)}/${name}`);
  } finally {
    closeSync(folder);
  }
  rmdirSync(path);
};
