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
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import { orNoRoom } from '../../host/disk-room.ts';
import type { Run } from '../../host/run.ts';
import { syncPath } from '../../host/sync-path.ts';
import { type PackageProof, proofSuffix } from '../../schemas/attestation.ts';
import type { PublisherConfig } from '../../schemas/config.ts';
import { StepFailed } from '../runtime/errors.ts';
import { removeOldPackages } from './old-packages.ts';
import { signDetached } from './openpgp.ts';
import { readDatabase, refuseOlder, type VersionedPackage } from './package-database.ts';

/**
 * A repository is a folder of views. An incomplete view has another kind of name. The link `current` names the view
 * that is served:
 *
 *     views/<view>/      packages, their signatures, <name>.db and <name>.files with theirs
 *     current            → views/<view>
 */
type Config = Pick<PublisherConfig, 'signing' | 'repository' | 'keep'>;

/** The prefix of a view that is being built. A leftover one is from a process that was killed. */
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

/** Whether a view is there. If so, it is complete. */
export const hasView = async (config: Pick<Config, 'repository'>, view: string): Promise<boolean> =>
  (await readdir(viewsFolder(config)).catch(orMissing))?.includes(view) ?? false;

/** Gives a file a second name, or copies it with its age if the file system has no hard links. */
const linkOrCopy = (from: string, to: string) =>
  link(from, to).catch(async () => {
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    const { atime, mtime } = await stat(from);
    await utimes(to, atime, mtime);
  });

/** Fills a new view with everything in `base`. Old packages stay for clients that still use the old database. */
const copyView = async (config: Config, base: string, to: string): Promise<void> => {
  const { name } = config.repository;
  const from = join(viewsFolder(config), base);
  for (const file of await readdir(from)) {
    if (!isDatabaseFile(name, file)) await linkOrCopy(join(from, file), join(to, file));
    // repo-add goes on from these two; the other database files are made again.
    else if (file === `${name}.db.tar.gz` || file === `${name}.files.tar.gz`)
      await copyFile(join(from, file), join(to, file));
  }
};

/** Puts a copy of a file into the view, readable for the web server. It replaces a file of that name. */
const addFile = async (from: string, to: string): Promise<void> => {
  await rm(to, { force: true });
  await copyFile(from, to, constants.COPYFILE_FICLONE);
  await chmod(to, 0o644);
  await syncPath(to);
};

/**
 * Adds packages to the database. repo-add by itself neither checks a signature nor fails when it can't sign, and leaves
 * links. So the database is signed here, and every name is made a file.
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
      throw new StepFailed(
        'host',
        `repo-add reported success, but ${file} is not in its database: see its output.`,
      );
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

/** The packages of a view's database. */
const entriesOf = (config: Config, run: Run, view: string) =>
  readDatabase(run, join(viewsFolder(config), view, `${config.repository.name}.db.tar.gz`));

/** The file of the package that is served now; undefined if there is none. */
export const servedPackage = async (config: Config, run: Run, name: string): Promise<string | undefined> => {
  const view = await currentView(config);
  if (view === undefined) return undefined;
  const entry = (await entriesOf(config, run, view)).find((one) => one.name === name);
  return entry && join(viewsFolder(config), view, basename(entry.file));
};

/** Puts a package's proof beside it. One that an earlier package of that name has left proves nothing about this one. */
const addProof = async (file: string, proof: PackageProof | undefined): Promise<void> => {
  const path = `${file}${proofSuffix}`;
  await rm(path, { force: true });
  if (proof === undefined) return;
  await writeFile(path, JSON.stringify(proof));
  await chmod(path, 0o644);
  await syncPath(path);
};

export interface NewView {
  view: string;
  /** The folder that holds the signed packages. */
  from: string;
  packages: readonly VersionedPackage[];
  /** Who built them from what, and who approved that; absent for packages that no iteration has made. */
  proof?: PackageProof | undefined;
}

/**
 * Builds a complete view from the served one and the signed packages in `from`, and syncs it to the disk. Only then
 * does it get its name, and nobody sees it before {@link swapView}.
 * @returns The view that it was built from.
 * @throws {StepFailed} (work) if the repository holds a newer version of a package, or another file of the same one;
 * (host) if there is already a view of that name.
 */
export const buildView = async (
  config: Config,
  run: Run,
  { view, from, packages, proof }: NewView,
): Promise<{ base: string | null }> => {
  const views = viewsFolder(config);
  if (await hasView(config, view))
    throw new StepFailed(
      'host',
      `${join(views, view)} is there already, and this attempt did not make it: see whose it is, and try again.`,
    );
  const base = await currentView(config);
  if (base !== undefined) await refuseOlder(run, packages, await entriesOf(config, run, base));
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
    for (const { file } of packages) await addProof(join(folder, file), proof);
    await addToDatabase(config, run, folder, packages);
    await removeOldPackages(run, config, folder);
    await syncPath(folder);
  };
  await orNoRoom(views, fill).catch(async (error: unknown) => {
    // Half a view is useless, and on a full disk it takes the room of the next try.
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  await rename(folder, join(views, view));
  await syncPath(views);
  return { base: base ?? null };
};

/**
 * Switches to another view, atomically.
 * @throws {StepFailed} (host) if the served view is not the one that this one was built from.
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
