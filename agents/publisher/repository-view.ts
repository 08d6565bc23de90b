import {
  chmod,
  constants,
  copyFile,
  link,
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  utimes,
} from 'node:fs/promises';
import { join } from 'node:path';
import { orNoRoom } from '../../host/disk-room.ts';
import type { Run } from '../../host/run.ts';
import { syncPath } from '../../host/sync-path.ts';
import type { PublisherConfig } from '../../schemas/config.ts';
import { StepFailed } from '../runtime/errors.ts';
import { removeOldPackages } from './old-packages.ts';
import { signDetached } from './openpgp.ts';
import { readDatabase, refuseOlder, type VersionedPackage } from './package-database.ts';

/**
 * A repository is a folder of views. A view is complete or it has another name; the link `current` names the one
 * that is served:
 *
 *     views/<view>/      packages, their signatures, <name>.db and <name>.files with theirs
 *     current            → views/<view>
 */
type Config = Pick<PublisherConfig, 'signing' | 'repository' | 'keep'>;

/** A view that is being built; one that is left over was killed. */
const unfinished = '.unfinished.';

export const viewsFolder = ({ repository }: Pick<Config, 'repository'>) => join(repository.folder, 'views');

/** The files of a view that change with every publication, as opposed to those that are only added. */
const isDatabaseFile = (name: string, file: string): boolean =>
  [`${name}.db`, `${name}.files`].some((stem) => file === stem || file.startsWith(`${stem}.`));

const orMissing = (error: NodeJS.ErrnoException): undefined => {
  if (error.code !== 'ENOENT') throw error;
};

/** The name of the view that is served; undefined before the first publication. */
export const currentView = async (config: Pick<Config, 'repository'>): Promise<string | undefined> => {
  const target = await readlink(join(config.repository.folder, 'current')).catch(orMissing);
  return target?.replace(/^views\//, '');
};

/** Whether a view is there, and so complete. */
export const hasView = async (config: Pick<Config, 'repository'>, view: string): Promise<boolean> =>
  (await readdir(viewsFolder(config)).catch(orMissing))?.includes(view) ?? false;

/** The same file under a second name, or a copy of the same age where the file system has no hard links. */
const linkOrCopy = (from: string, to: string) =>
  link(from, to).catch(async () => {
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    const { atime, mtime } = await stat(from);
    await utimes(to, atime, mtime);
  });

/** A new view of all that `base` holds: old packages stay for the client that has the old database in its hands. */
const copyView = async (config: Config, base: string, to: string): Promise<void> => {
  const { name } = config.repository;
  const from = join(viewsFolder(config), base);
  for (const file of await readdir(from)) {
    if (!isDatabaseFile(name, file)) await linkOrCopy(join(from, file), join(to, file));
    // repo-add goes on from these two; everything else of the database is made anew.
    else if (file === `${name}.db.tar.gz` || file === `${name}.files.tar.gz`)
      await copyFile(join(from, file), join(to, file));
  }
};

/** Puts a file of its own into the view, readable for whoever serves it, even where another had that name. */
const addFile = async (from: string, to: string): Promise<void> => {
  await rm(to, { force: true });
  await copyFile(from, to, constants.COPYFILE_FICLONE);
  await chmod(to, 0o644);
  await syncPath(to);
};

/**
 * repo-add on its own neither checks a signature nor fails when it can't sign, and leaves links. So the database is
 * signed here, and every name is a file.
 */
const addToDatabase = async (
  config: Config,
  run: Run,
  folder: string,
  packages: readonly VersionedPackage[],
): Promise<void> => {
  const { name } = config.repository;
  const files = packages.map(({ file }) => `./${file}`);
  await run(['repo-add', '--nocolor', `${name}.db.tar.gz`, ...files], { cwd: folder });
  const entries = await readDatabase(run, join(folder, `${name}.db.tar.gz`));
  for (const { name, version, file, sha256 } of packages)
    if (
      !entries.some((e) => e.name === name && e.version === version && e.file === file && e.sha256 === sha256)
    )
      throw new StepFailed('host', `repo-add ended well and ${file} is not in its database: see its output.`);
  for (const stem of [`${name}.db`, `${name}.files`]) {
    const archive = join(folder, `${stem}.tar.gz`);
    await signDetached(run, config.signing, archive);
    await rm(`${archive}.old`, { force: true });
    for (const suffix of ['', '.sig']) {
      await chmod(`${archive}${suffix}`, 0o644);
      await syncPath(`${archive}${suffix}`);
      await rm(join(folder, `${stem}${suffix}`), { force: true });
      await linkOrCopy(`${archive}${suffix}`, join(folder, `${stem}${suffix}`));
    }
  }
};

/**
 * Builds a complete view from the one that is served and the signed packages in `from`, on disk to the last byte.
 * It has its name only then; nobody sees it before {@link swapView}.
 * @returns The view that it was built from.
 * @throws {StepFailed} (work) if the repository holds a newer version of a package, or another file of the same one;
 * (host) if a view of that name is there.
 */
export const buildView = async (
  config: Config,
  run: Run,
  { view, from, packages }: { view: string; from: string; packages: readonly VersionedPackage[] },
): Promise<{ base: string | null }> => {
  const views = viewsFolder(config);
  if (await hasView(config, view))
    throw new StepFailed(
      'host',
      `${join(views, view)} is there already, and this attempt did not make it: see whose it is, and try again.`,
    );
  const base = await currentView(config);
  if (base !== undefined) {
    const held = await readDatabase(run, join(views, base, `${config.repository.name}.db.tar.gz`));
    await refuseOlder(run, packages, held);
  }
  await orNoRoom(views, () => mkdir(views, { recursive: true }));
  for (const leftOver of await readdir(views))
    if (leftOver.startsWith(unfinished)) await rm(join(views, leftOver), { recursive: true });

  const folder = join(views, `${unfinished}${view}`);
  const fill = async () => {
    await mkdir(folder);
    await chmod(folder, 0o755);
    if (base !== undefined) await copyView(config, base, folder);
    for (const { file } of packages)
      for (const name of [file, `${file}.sig`]) await addFile(join(from, name), join(folder, name));
    await addToDatabase(config, run, folder, packages);
    await removeOldPackages(run, config, folder);
    await syncPath(folder);
  };
  await orNoRoom(views, fill).catch(async (error: unknown) => {
    // Half a view is worth nothing, and where the disk is full it takes the room of the next try.
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  await rename(folder, join(views, view));
  await syncPath(views);
  return { base: base ?? null };
};

/**
 * Serves another view, from one request to the next.
 * @throws {StepFailed} (host) if the view that is served is not the one that this one was built from.
 */
export const swapView = async (
  config: Config,
  { view, base }: { view: string; base: string | null },
): Promise<void> => {
  const { folder } = config.repository;
  const served = (await currentView(config)) ?? null;
  if (served !== base)
    throw new StepFailed(
      'host',
      `${join(folder, 'current')} shows ${served} and ${view} was built from ${base}: somebody else publishes here; try again.`,
    );
  const next = join(folder, 'current.part');
  await rm(next, { force: true });
  await symlink(join('views', view), next);
  await rename(next, join(folder, 'current'));
  await syncPath(folder);
};
