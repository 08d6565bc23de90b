import { hash } from 'node:crypto';
import { cp, lstat, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { createRun } from '../../host/run.ts';
import { identify } from '../processes/process-identity.ts';

/** The hash of what a cached thing is made from. */
export const cacheKey = (...parts: readonly string[]): string =>
  hash('sha256', JSON.stringify(parts), 'hex').slice(0, 16);

/** The names, modes and bytes of all files below a folder, as text for {@link cacheKey}. */
export const folderKey = async (folder: string): Promise<string> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const lines = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const file = join(entry.parentPath, entry.name);
        const [bytes, { mode }] = await Promise.all([readFile(file), lstat(file)]);
        return `${relative(folder, file)} ${mode & 0o100} ${hash('sha256', bytes, 'hex')}`;
      }),
  );
  return lines.sort().join('\n');
};

/** Removes half-made folders of killed processes. */
const removeDeadParts = async (cacheFolder: string): Promise<void> => {
  for (const name of await readdir(cacheFolder)) {
    const [, pid] = /\.part-(\d+)$/.exec(name) ?? [];
    if (pid !== undefined && !identify(Number(pid)))
      await rm(join(cacheFolder, name), { recursive: true, force: true });
  }
};

const syncFilesystem = (folder: string) =>
  createRun(() => undefined)(['sync', '-f', '--', folder], { quiet: true });

/**
 * The folder `<cacheFolder>/<name>`, filled by `make` if it does not exist. It is made beside its place and renamed, so
 * that nothing in the cache is half-made. Only its owner may read it.
 */
export const cached = async (
  cacheFolder: string,
  name: string,
  make: (folder: string) => Promise<void>,
): Promise<string> => {
  const folder = join(cacheFolder, name);
  if (await lstat(folder).catch(() => undefined)) return folder;
  await mkdir(cacheFolder, { recursive: true });
  await removeDeadParts(cacheFolder);
  const part = `${folder}.part-${process.pid}`;
  await rm(part, { recursive: true, force: true });
  await mkdir(part, { mode: 0o700 });
  try {
    await make(part);
    // Otherwise a power cut after the rename could leave a finished folder whose files have lost their bytes.
    await syncFilesystem(part);
    // Another process may have made it meanwhile, which is as good.
    await rename(part, folder).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(part, { recursive: true, force: true });
  }
  return folder;
};

/** Copies a folder with all modes, without the sockets that gpg's daemons leave. */
export const copyFolder = (from: string, to: string): Promise<void> =>
  cp(from, to, {
    recursive: true,
    preserveTimestamps: true,
    filter: async (path) => !(await lstat(path)).isSocket(),
  });
