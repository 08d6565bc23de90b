import {
  chmod,
  chown,
  copyFile,
  lstat,
  mkdir,
  readlink,
  rename,
  rm,
  symlink,
  utimes,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Run } from '../../host/run.ts';
import { syncPath } from '../../host/sync-path.ts';
import type { MtreeEntry } from '../runtime/package/mtree.ts';
import { alteredFiles } from './pacman/altered-files.ts';

/**
 * Puts files back below `root` from a folder that holds them, each through a `.part` beside it: at every moment a path
 * holds either the old file or the new one, complete. Files that are right already stay. Nothing is removed.
 */
export const restore = async (
  run: Run,
  folder: string,
  root: string,
  entries: readonly MtreeEntry[],
): Promise<void> => {
  const wrong = new Set(await alteredFiles(run, root, entries));
  const touched = new Set<string>();
  for (const { path, type } of entries.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    if (!wrong.has(`/${path}`)) continue;
    const source = join(folder, path);
    const target = join(root, path);
    if (type === 'dir') {
      await mkdir(target, { recursive: true });
      continue;
    }
    const part = `${target}.ka-part`;
    const { mode, uid, gid, atime, mtime } = await lstat(source);
    await mkdir(dirname(target), { recursive: true });
    await rm(part, { force: true });
    if (type === 'link') await symlink(await readlink(source), part);
    else {
      await copyFile(source, part);
      const copy = await lstat(part);
      // A FAT boot partition has no owners, so nothing is changed there.
      if (copy.uid !== uid || copy.gid !== gid) await chown(part, uid, gid);
      await chmod(part, mode);
      await utimes(part, atime, mtime);
      await syncPath(part);
    }
    await rename(part, target);
    touched.add(dirname(target));
  }
  for (const changed of touched) await syncPath(changed);
};
