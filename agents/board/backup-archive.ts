import { createHash } from 'node:crypto';
import { copyFile, lstat, mkdir, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { requireRoom } from '../../host/disk-room.ts';
import { hashFile } from '../../host/hash-file.ts';
import type { Run } from '../../host/run.ts';
import { syncPath } from '../../host/sync-path.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { BoardFile, PackageFile, StepEvidence } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { MtreeEntry } from '../runtime/package/mtree.ts';
import { listArchive } from '../runtime/package/package-file.ts';
import { backupsFolder, packagesFolder } from './backups-folder.ts';
import { type KeepingHost, keptPaths, moduleReleases, modulesFolder, requireOnlyKept } from './kept-paths.ts';
import { alteredFiles } from './pacman/altered-files.ts';
import type { KeptPackage } from './pacman/cached-package.ts';

export type BackupArchive = Pick<StepEvidence<'backup'>, 'archive' | 'files' | 'packages'>;

/** This board's own copy of a backup. */
export const backupFile = (
  host: Pick<BoardConfig, 'stateFolder'>,
  { version, archive }: { version: string; archive: { file: string } },
): string => join(backupsFolder(host, version), archive.file);

/** @throws {StepFailed} (host) if one of them isn't there. */
const pathsToKeep = async (host: BoardConfig, releases: readonly string[]): Promise<string[]> => {
  const paths = keptPaths(host, releases);
  for (const path of paths)
    if (!(await lstat(join(host.root, path)).catch(() => undefined)))
      throw new StepFailed(
        'host',
        `${join(host.root, path)} is to be backed up and is not there: see boot in the config.`,
      );
  return paths.filter((path) => !paths.some((other) => path.startsWith(`${other}/`)));
};

/** Copies with a fixed time, so that the same content makes the same archive. */
const gather = async (folder: string, files: readonly string[]): Promise<void> => {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const file of files) {
    await copyFile(file, join(folder, basename(file)));
    await utimes(join(folder, basename(file)), 0, 0);
  }
  await utimes(folder, 0, 0);
};

/**
 * Modules are thousands of files, too many for an event. Instead their folder is listed, with a hash over its manifest.
 */
const summarize = (entries: readonly MtreeEntry[]): BoardFile[] => {
  const files = entries.flatMap(({ type, path, sizeBytes, sha256 }) =>
    type === 'file' && sha256 !== undefined ? [{ path: `/${path}`, sizeBytes, sha256 }] : [],
  );
  const isModule = ({ path }: BoardFile) => path.startsWith(`/${modulesFolder}/`);
  const folders = moduleReleases(entries).map((release) => {
    const path = `/${modulesFolder}/${release}`;
    const inside = files.filter((file) => file.path.startsWith(`${path}/`));
    const manifest = createHash('sha256');
    for (const file of inside.toSorted((a, b) => (a.path < b.path ? -1 : 1)))
      manifest.update(`${file.sha256}  ${file.path}\n`);
    return {
      path,
      sizeBytes: inside.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      sha256: manifest.digest('hex'),
    };
  });
  return [...files.filter((file) => !isModule(file)), ...folders];
};

const isPackage = ({ path }: MtreeEntry) => path === packagesFolder || path.startsWith(`${packagesFolder}/`);

/** The board's own files in an archive. */
export const boardEntries = async (run: Run, archive: string): Promise<MtreeEntry[]> =>
  (await listArchive(run, archive)).filter((entry) => !isPackage(entry));

/**
 * Makes the archive reproducibly. Its name contains its hash, so the same system makes the same file again.
 * @throws {StepFailed} (host) if something that is to be kept isn't there. @throws {Error} if files changed in the
 * meantime.
 */
export const createBackupArchive = async (
  run: Run,
  host: BoardConfig,
  {
    version,
    releases,
    packages,
    workFolder,
  }: {
    version: string;
    releases: readonly string[];
    packages: readonly KeptPackage[];
    workFolder: string;
  },
): Promise<BackupArchive> => {
  const paths = await pathsToKeep(host, releases);
  const kept = paths.map((path) => join(host.root, path));
  const { stdout } = await run(
    ['du', '--bytes', '--total', '--summarize', '--', ...kept, ...packages.map(({ file }) => file)],
    { quiet: true },
  );
  const bytes = Number(stdout.trim().split('\n').at(-1)?.split('\t')[0]);
  await requireRoom('the backup', [{ folder: host.stateFolder, bytes }]);
  await gather(
    join(workFolder, packagesFolder),
    packages.flatMap(({ file, signature }) => [file, signature]),
  );
  const folder = backupsFolder(host, version);
  await mkdir(folder, { recursive: true });
  const part = join(folder, 'backup.part');
  await rm(part, { force: true }); // a tar that outlived a killed agent may still write to it
  await run([
    ...[
      'tar',
      '--create',
      '--zstd',
      '--force-local',
      '--file',
      part,
      '--format=posix',
      '--sort=name',
      '--numeric-owner',
    ],
    ...['--hard-dereference', '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime'],
    ...['--directory', host.root, ...paths.map((path) => `./${path}`)],
    ...['--directory', workFolder, `./${packagesFolder}`],
  ]);
  const entries = await boardEntries(run, part);
  const files = summarize(entries);
  const keptPackages: PackageFile[] = await Promise.all(
    packages.map(async ({ name, file }) => ({ name, file: basename(file), ...(await hashFile(file)) })),
  );
  await requireOnlyKept(run, host, part, { files, packages: keptPackages }); // a rollback would refuse the rest
  const changed = await alteredFiles(run, host.root, entries);
  if (changed.length > 0) throw new Error(`${changed.join(', ')} changed while the backup was made.`);

  await syncPath(part);
  const content = await hashFile(part);
  const file = `${version}-${content.sha256.slice(0, 16)}.tar.zst`;
  const made = { archive: { file, ...content }, files, packages: keptPackages };
  await writeFile(join(folder, `${file}.json`), `${JSON.stringify(made, undefined, 2)}\n`);
  await syncPath(join(folder, `${file}.json`));
  await rename(part, join(folder, file));
  await syncPath(folder);
  return made;
};

/**
 * Unpacks an archive into `folder`, and first removes what is there: a cut may have left half of it.
 * @returns The folder, and the package files in it.
 * @throws {StepFailed} (host) if it holds anything that the board's config does not keep: then nothing is unpacked.
 */
export const unpackBackup = async (
  run: Run,
  host: KeepingHost,
  archive: string,
  backup: Pick<BackupArchive, 'files' | 'packages'>,
  folder: string,
): Promise<{ folder: string; packages: string[] }> => {
  await requireOnlyKept(run, host, archive, backup);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const options = ['--force-local', '--preserve-permissions', '--numeric-owner'];
  await run(['tar', '--extract', ...options, '--file', archive, '--directory', folder]);
  const packages = (await readdir(join(folder, packagesFolder))).filter((file) => !file.endsWith('.sig'));
  return { folder, packages: packages.map((file) => join(folder, packagesFolder, file)) };
};
