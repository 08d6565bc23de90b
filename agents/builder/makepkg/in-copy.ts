import { cp, lstat, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** No pkgbase begins with a dot. */
const prefix = '.asked-';
const staleMs = 3600_000;

/** A killed agent leaves its copy behind. */
const removeStale = async (parent: string): Promise<void> => {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue;
    const path = join(parent, name);
    const found = await lstat(path).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > staleMs) await rm(path, { recursive: true, force: true });
  }
};

/**
 * Runs `look` in a copy of a folder, which is made in `parent` and removed afterwards. `makepkg.user` can't read the
 * agent's own folders, and a PKGBUILD may write to its folder when makepkg reads it.
 */
export const inCopy = async <Result>(
  folder: string,
  parent: string,
  look: (copy: string) => Promise<Result>,
): Promise<Result> => {
  await mkdir(parent, { recursive: true });
  await removeStale(parent);
  const copy = await mkdtemp(join(parent, prefix));
  try {
    await cp(folder, copy, { recursive: true, verbatimSymlinks: true });
    return await look(copy);
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
};
