import { mkdir, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ProgramFailed } from '../../../host/errors.ts';
import { fetchUrl } from '../../../host/fetch-url.ts';
import type { Run } from '../../../host/run.ts';
import type { BoardConfig } from '../../../schemas/config.ts';
import { StepFailed } from '../../runtime/errors.ts';
import { signatureAtMostBytes, verifySignature } from '../../runtime/openpgp-verify.ts';
import { readPackageFile } from '../../runtime/package/package-file.ts';
import { backupsFolder, packagesFolder } from '../backups-folder.ts';
import { repositoryFile } from '../repository-file.ts';
import { type InstalledEntry, isContentOf } from './pacman.ts';

/** The file of an installed package, and its detached signature, `<file>.sig`. */
export interface KeptPackage {
  name: string;
  file: string;
  signature: string;
}

const packageIn = async (
  folder: string,
  { name, version, arch }: { name: string; version: string; arch: string },
): Promise<string | undefined> => {
  const stem = `${name}-${version}-${arch}.pkg.tar`;
  const files = await readdir(folder).catch(() => []);
  const file = files.find((file) => file.startsWith(`${stem}.`) && /^\.\w+$/.test(file.slice(stem.length)));
  return file === undefined ? undefined : join(folder, file);
};

/**
 * Finds a package in an earlier backup of the same version. A rollback puts packages back from a backup and leaves
 * nothing in pacman's cache, and the repository may have moved on.
 */
const packageInBackup = async (
  run: Run,
  host: BoardConfig,
  wanted: { name: string; version: string; arch: string },
  folder: string,
): Promise<string | undefined> => {
  const backups = backupsFolder(host, wanted.version);
  const files = await readdir(backups).catch(() => []);
  for (const archive of files.filter((file) => file.endsWith('.tar.zst')).sort()) {
    await mkdir(folder, { recursive: true });
    const into = ['--file', join(backups, archive), '--directory', folder, `./${packagesFolder}`];
    await run(['tar', '--extract', '--force-local', ...into]);
    const file = await packageIn(join(folder, packagesFolder), wanted);
    if (file !== undefined) return file;
  }
  return undefined;
};

/** Uses a separate database, so that the board's own `sync/` stays as it is. */
const downloadWithPacman = async (
  run: Run,
  host: BoardConfig,
  wanted: { name: string; version: string; arch: string },
  folder: string,
): Promise<string> => {
  const database = join(folder, 'database');
  await mkdir(database, { recursive: true });
  const where = ['--config', host.pacman.configFile, '--dbpath', database, '--cachedir', folder];
  const what = `${wanted.name}=${wanted.version}`;
  const refuse = (why: string, cause?: unknown) =>
    new StepFailed(
      'host',
      `${wanted.name} ${wanted.version} is not in ${host.pacman.cacheFolder}, and the repository doesn't give it (${why}): put its file and its .sig there.`,
      { cause },
    );
  await run([...host.pacman.command, ...where, '-Sywdd', '--noconfirm', '--', what]).catch(
    (error: unknown) => {
      throw error instanceof ProgramFailed ? refuse(error.message, error) : error;
    },
  );
  const file = await packageIn(folder, wanted);
  if (file === undefined) throw refuse('pacman reported success, but there is no file');
  return file;
};

/** Pacman keeps no `.sig` if the database holds the signature, so it is downloaded from the repository. */
const signatureOf = async (run: Run, host: BoardConfig, file: string, folder: string): Promise<string> => {
  const beside = `${file}.sig`;
  if (await stat(beside).catch(() => undefined)) return beside;
  const signature = join(folder, basename(beside));
  const url = repositoryFile(host, basename(beside));
  await mkdir(folder, { recursive: true });
  const { ended, stderr } = await fetchUrl(
    run,
    { url, file: signature, from: 0, atMostBytes: signatureAtMostBytes },
    { options: ['--max-time', '60'], timeoutMs: 70_000 },
  );
  if (ended !== 0)
    throw new StepFailed(
      'host',
      `${beside} is not there, and ${url} doesn't give it (${stderr}): a rollback needs it, put it there.`,
    );
  return signature;
};

/**
 * Returns the file and the signature of an installed package: from pacman's cache, from an earlier backup of the same
 * version, or from the repository, downloaded into `folder`. The signature is by the pinned key, and the content is
 * what is installed.
 * @throws {StepFailed} (host) if there is no such file, or its content differs; (work) if the signature isn't by that
 * key.
 */
export const cachedPackage = async (
  run: Run,
  host: BoardConfig,
  { name, entry, folder }: { name: string; entry: InstalledEntry; folder: string },
): Promise<KeptPackage> => {
  const wanted = { name, version: entry.version, arch: entry.arch };
  const file =
    (await packageIn(host.pacman.cacheFolder, wanted)) ??
    (await packageInBackup(run, host, wanted, folder)) ??
    (await downloadWithPacman(run, host, wanted, folder));
  const signature = await signatureOf(run, host, file, folder);
  await verifySignature(run, { file, signature, ...host.signing });
  const content = await readPackageFile(run, file);
  if (content.name !== name || !isContentOf(entry, content))
    throw new StepFailed(
      'host',
      `${file} holds ${content.name} ${content.version}, but not the files that are installed as ${name} ${entry.version}: a rollback with it would bring something else.`,
    );
  return { name, file, signature };
};
