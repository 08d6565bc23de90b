import { hash } from 'node:crypto';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  open,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncPath } from '../../../host/sync-path.ts';
import { isEntryMissing, type Owner } from './owner.ts';

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

/** Compares a file with how it should be. */
export const fileState = async (wanted: PlacedFile): Promise<State> => {
  const seen = await lstat(wanted.path).catch(missingOr);
  if (!seen) return 'absent';
  if (!seen.isFile() || !isAs(seen, wanted)) return 'other';
  return hash('sha256', await readFile(wanted.path), 'hex') === wanted.sha256 ? 'same' : 'other';
};

/**
 * Puts a file in its place by way of a `.part` beside it: after an interruption anywhere, either the old or the new
 * file is there, complete.
 */
export const placeFile = async (wanted: PlacedFile, bytes: Uint8Array): Promise<boolean> => {
  if (hash('sha256', bytes, 'hex') !== wanted.sha256)
    throw new Error(`${wanted.path} arrived with other bytes than were sent: enrol again`);
  if ((await fileState(wanted)) === 'same') return false;
  const part = `${wanted.path}.part`;
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
  await rename(part, wanted.path);
  await syncPath(dirname(wanted.path));
  return true;
};

export interface PlacedFolder {
  path: string;
  mode: number;
  owner: Owner;
}

export const folderState = async (wanted: PlacedFolder): Promise<State> => {
  const seen = await stat(wanted.path).catch(missingOr);
  if (!seen) return 'absent';
  return seen.isDirectory() && isAs(seen, wanted) ? 'same' : 'other';
};

/** Makes a folder, or sets owner and mode of an existing one. Its content is not touched. */
export const placeFolder = async (wanted: PlacedFolder): Promise<boolean> => {
  const state = await folderState(wanted);
  if (state === 'same') return false;
  if (state === 'absent') await mkdir(wanted.path, { recursive: true, mode: wanted.mode });
  await chown(wanted.path, wanted.owner.uid, wanted.owner.gid);
  await chmod(wanted.path, wanted.mode);
  await syncPath(dirname(wanted.path));
  return true;
};

export const linkTarget = (path: string): Promise<string | undefined> => readlink(path).catch(missingOr);

/** Makes a link, or points it to its new target, in one step. */
export const placeLink = async (path: string, target: string): Promise<boolean> => {
  if ((await linkTarget(path)) === target) return false;
  const part = `${path}.part`;
  await rm(part, { force: true });
  await symlink(target, part);
  await rename(part, path);
  await syncPath(dirname(path));
  return true;
};
