import { hash } from 'node:crypto';
import { fchmodSync, fstatSync, lstatSync, readlinkSync } from 'node:fs';
import {
  chmod,
  lchown,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { syncPath } from '../../../host/sync-path.ts';
import { inFolder } from './held-folder.ts';
import { isEntryMissing, type Owner } from './owner.ts';
import { deciderOf, rootsFolder } from './roots-folder.ts';

export interface PlacedFile {
  path: string;
  mode: number;
  owner: Owner;
  sha256: string;
}

export type State = 'same' | 'absent' | 'other';

const missingOr = (error: unknown): undefined => {
  if (isEntryMissing(error)) return undefined;
  throw error;
};

const isAs = (
  { mode, uid, gid }: { mode: number; uid: number; gid: number },
  wanted: { mode: number; owner: Owner },
): boolean => (mode & 0o7777) === wanted.mode && uid === wanted.owner.uid && gid === wanted.owner.gid;

/** Compares a file with how it should be. A link is none. */
export const fileState = async (wanted: PlacedFile): Promise<State> => {
  const seen = await lstat(wanted.path).catch(missingOr);
  if (!seen) return 'absent';
  if (!seen.isFile() || !isAs(seen, wanted)) return 'other';
  return hash('sha256', await readFile(wanted.path), 'hex') === wanted.sha256 ? 'same' : 'other';
};

/**
 * Puts a file in its place by way of a `.part` beside it: after an interruption anywhere, either the old or the new
 * file is there, complete.
 * @throws {Error} if others than root can change what is in its folder.
 */
export const placeFile = async (wanted: PlacedFile, bytes: Uint8Array): Promise<boolean> => {
  if (hash('sha256', bytes, 'hex') !== wanted.sha256)
    throw new Error(`${wanted.path} arrived with other bytes than were sent: enrol again`);
  if ((await fileState(wanted)) === 'same') return false;
  const folder = rootsFolder(dirname(wanted.path));
  const path = join(folder, basename(wanted.path));
  const part = `${path}.part`;
  await rm(part, { force: true });
  const file = await open(part, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.chown(wanted.owner.uid, wanted.owner.gid);
    await file.chmod(wanted.mode);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, path);
  await syncPath(folder);
  return true;
};

export interface PlacedFolder {
  path: string;
  mode: number;
  owner: Owner;
}

/** Where a folder is or will be, behind links of root's; `user` if others than root decide that. */
const placeOf = (path: string): { by: 'root' | 'user'; path: string } => {
  const decider = deciderOf(dirname(path));
  if (decider.by === 'user') return { by: 'user', path };
  const place = join(decider.folder, basename(path));
  const target = lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink() ? readlinkSync(place) : null;
  return target === null ? { by: 'root', path: place } : placeOf(resolve(decider.folder, target));
};

/** Compares a folder with how it should be. Only a link of root's is followed. */
export const folderState = async (wanted: PlacedFolder): Promise<State> => {
  const seen = await lstat(placeOf(wanted.path).path).catch(missingOr);
  if (!seen) return 'absent';
  return seen.isDirectory() && isAs(seen, wanted) ? 'same' : 'other';
};

/** Makes a folder below one that belongs to its owner, who could put a link in its place at any moment. */
const placeInUsers = ({ path, mode, owner }: PlacedFolder): void => {
  if (owner.uid === 0) rootsFolder(dirname(path));
  inFolder(
    path,
    (_, folder) => {
      const { uid } = fstatSync(folder);
      if (uid !== owner.uid)
        throw new Error(
          `${path} belongs to user ${uid}, and user ${owner.uid} was expected: see what is there, and remove it`,
        );
      fchmodSync(folder, mode);
    },
    { owner },
  );
};

/** @throws {Error} if something is there that root would give away: a file, or a folder of root's that holds files. */
const refuseRootsOwn = async ({ owner }: PlacedFolder, path: string): Promise<void> => {
  const seen = await lstat(path).catch(missingOr);
  if (!seen) return;
  if (!seen.isDirectory()) throw new Error(`${path} is no folder, and one was expected there: remove it`);
  if (owner.uid !== 0 && seen.uid === 0 && process.geteuid?.() === 0 && (await readdir(path)).length > 0)
    throw new Error(
      `${path} belongs to root and is not empty, so it is not given to user ${owner.uid}: name another folder, or chown it by hand`,
    );
};

/** Makes a folder, or sets owner and mode of an existing one. Its content is not touched. */
export const placeFolder = async (wanted: PlacedFolder): Promise<boolean> => {
  const state = await folderState(wanted);
  if (state === 'same') return false;
  const { by, path } = placeOf(wanted.path);
  if (by === 'user') {
    placeInUsers(wanted);
    return true;
  }
  // Nobody but root can replace what is there.
  await refuseRootsOwn(wanted, path);
  if (state === 'absent') await mkdir(path, { recursive: true, mode: wanted.mode });
  await lchown(path, wanted.owner.uid, wanted.owner.gid);
  await chmod(path, wanted.mode);
  await syncPath(dirname(path));
  return true;
};

export const linkTarget = (path: string): Promise<string | undefined> => readlink(path).catch(missingOr);

/** Makes a link, or points it to its new target, in one step. */
export const placeLink = async (path: string, target: string): Promise<boolean> => {
  if ((await linkTarget(path)) === target) return false;
  const folder = rootsFolder(dirname(path));
  const part = join(folder, `${basename(path)}.part`);
  await rm(part, { force: true });
  await symlink(target, part);
  await rename(part, join(folder, basename(path)));
  await syncPath(folder);
  return true;
};
