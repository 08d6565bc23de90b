import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { isEntryMissing, type Owner } from './owner.ts';

/** Who decides what is at a path. */
export type Decider =
  /** Root alone: there is no link of anybody else on the way. */
  | { by: 'root'; folder: string }
  /** Somebody else, who can put there whatever they like, at any moment. */
  | {
      by: 'user';
      owner: Owner;
      /** The folder in which they can, by a path of root's. */
      at: string;
      /** The way from there, as it was asked for. */
      rest: string[];
    };

const mostLinks = 40;

/** Root, and in a test that is not root, whoever runs it. */
const isTrusted = (uid: number): boolean => uid === 0 || uid === process.geteuid?.();

const look = (path: string): Stats | undefined => {
  try {
    return lstatSync(path);
  } catch (error) {
    if (isEntryMissing(error)) return undefined;
    throw error;
  }
};

/** Whether nobody but root can put another thing in the place of this entry: in a sticky folder only its owner can. */
const isFixed = (folder: Stats, entry: Stats | undefined): boolean => {
  if (!isTrusted(folder.uid)) return false;
  if ((folder.mode & 0o022) === 0) return true;
  return (folder.mode & 0o1000) !== 0 && entry !== undefined && isTrusted(entry.uid);
};

/**
 * Finds out who decides what is in a folder, by each folder from `/` on. Root may work in one where it is root, by the
 * path that is returned, in which all links are resolved: nothing there can be replaced between a look and an act.
 * @param folder an absolute path. Of one that is not there, the nearest folder above counts.
 */
export const deciderOf = (folder: string): Decider => {
  let at = '/';
  let links = 0;
  const left = folder.split('/').filter((name) => name !== '' && name !== '.');
  for (;;) {
    const seen = lstatSync(at);
    const name = left.shift();
    if (name === undefined) {
      if (isTrusted(seen.uid) && (seen.mode & 0o022) === 0) return { by: 'root', folder: at };
      return { by: 'user', owner: { uid: seen.uid, gid: seen.gid }, at, rest: [] };
    }
    if (name === '..') {
      at = dirname(at);
      continue;
    }
    const path = join(at, name);
    const entry = look(path);
    if (!isFixed(seen, entry)) {
      const owner = isTrusted(seen.uid) && entry ? entry : seen;
      return { by: 'user', owner: { uid: owner.uid, gid: owner.gid }, at, rest: [name, ...left] };
    }
    if (!entry) return { by: 'root', folder: join(path, ...left) };
    if (!entry.isSymbolicLink()) {
      at = path;
      continue;
    }
    links += 1;
    if (links > mostLinks) throw new Error(`${folder} leads through more than ${mostLinks} links`);
    const target = readlinkSync(path);
    left.unshift(...target.split('/').filter((part) => part !== '' && part !== '.'));
    if (target.startsWith('/')) at = '/';
  }
};

/**
 * A folder in which root may work, without links on the way.
 * @throws {Error} if others can put there what they like: root would follow their links.
 */
export const rootsFolder = (folder: string): string => {
  const decider = deciderOf(folder);
  if (decider.by === 'root') return decider.folder;
  throw new Error(
    `nothing is put in ${folder} as root, because user ${decider.owner.uid} can change what is in ${decider.at}: give that folder to root (chown root ${decider.at}; chmod go-w ${decider.at}), or name another`,
  );
};
