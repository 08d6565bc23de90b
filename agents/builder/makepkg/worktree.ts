import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { writeDurably } from '../../../host/durable-file.ts';
import { isThere } from '../../../host/is-there.ts';
import type { Ran } from '../../../host/run.ts';
import type { BuildBefore, StepEvidence } from '../../../schemas/steps.ts';
import { StepFailed } from '../../runtime/errors.ts';
import type { Git } from '../git/git.ts';
import type { BuildPlace } from './build-place.ts';
import type { Makepkg } from './makepkg.ts';
import { noteOutputs, removeUnknown } from './outputs.ts';
import {
  type AsUser,
  changedFiles,
  type SourceReader,
  type SourceTree,
  sourceTreeOf,
} from './source-tree.ts';

/** The finished builds whose outputs a worktree holds: the last one, and the one that began in an empty worktree. */
type Builds = NonNullable<StepEvidence<'build'>['before']>;

/** How much of the prepared source differs from that of the last build in the same worktree. */
export interface SourceCounts {
  files: number;
  changed: number;
  removed: number;
}

/**
 * A pkgbase's persistent worktree. Its paths are the same for every iteration, so that a build is incremental and
 * what it records of its folders does not change:
 *
 *     package/               the PKGBUILD's folder (startdir); the agent's, only to be read by the build
 *     build/<pkgbase>/src    the approved sources and the builds' outputs
 *     kept/                  `build/` while sources are prepared in its place
 *     fresh/<pkgbase>/src    prepared sources, until they are brought over into `build/`
 *     home/                  HOME, where nothing confines the build
 *     outputs.json           the hash of each file in `src` that the last build of an approved tree has left there
 *     builds.json            the finished builds that `src` holds the outputs of
 *     lock
 */
export interface Worktree {
  place: BuildPlace;
  /** A bare repository that holds the prepared tree, but not its blobs. */
  repository: string;
  /**
   * Fetches and prepares the sources where no outputs are. What the last run has prepared is used again, if it is what
   * is wanted.
   * @returns their tree, and what makepkg printed: nothing if it did not run.
   */
  prepare: (wanted?: {
    tree: string | undefined;
    config: string | undefined;
  }) => Promise<{ ran: Ran | undefined; found: SourceTree }>;
  /** Makes `src` hold the prepared sources, and beside them only what the last build has left there. */
  bringOver: (found: SourceTree) => Promise<{ sources: SourceCounts; before: Builds | undefined }>;
  /**
   * Builds and packages what is in `src` into the place's packages folder.
   * @throws {StepFailed} (work) if the build fails, or if it has changed its sources.
   */
  build: (found: SourceTree) => Promise<Ran>;
  /** Remembers the finished build, so that the next one can report which builds it rests on. */
  remember: (build: BuildBefore) => Promise<void>;
}

/** The paths of a worktree's parts. */
const pathsOf = (folder: string, pkgbase: string) => ({
  outputsFile: join(folder, 'outputs.json'),
  buildsFile: join(folder, 'builds.json'),
  src: join(folder, 'build', pkgbase, 'src'),
  keptSrc: join(folder, 'kept', pkgbase, 'src'),
  freshSrc: join(folder, 'fresh', pkgbase, 'src'),
});

type Paths = ReturnType<typeof pathsOf>;

const placeIn = (folder: string) => ({
  packageFolder: join(folder, 'package'),
  buildFolder: join(folder, 'build'),
  keptFolder: join(folder, 'kept'),
  freshFolder: join(folder, 'fresh'),
  homeFolder: join(folder, 'home'),
  lockFile: join(folder, 'lock'),
});

/** What in a worktree is written when it is used, and says so by its time. */
export const worktreeMarks = (folder: string): string[] => {
  const { outputsFile, buildsFile } = pathsOf(folder, basename(folder));
  return [outputsFile, buildsFile];
};

/** How a worktree is opened. */
export interface WorktreeOptions extends Pick<BuildPlace, 'packagesFolder' | 'epochSeconds'> {
  git: Git;
  /** A folder of the step's own. */
  workFolder: string;
}

/** Empties folders that belong to the user that builds. */
const empty = async (asUser: AsUser, folders: readonly string[]): Promise<void> =>
  void (await asUser(['find', ...folders, '-mindepth', '1', '-delete']));

/** Opens folders that a build has closed to its own user: nothing below could be read or removed. */
const openUp = async (asUser: AsUser, folders: readonly string[]): Promise<void> => {
  const closed = ['-type', 'd', '!', '-perm', '-700'];
  await asUser(['find', ...folders, '-mindepth', '1', ...closed, '-exec', 'chmod', 'u+rwx', '--', '{}', ';']);
};

/** Swaps `build` for an empty folder while `work` runs, and moves what `work` has left there to `fresh`. */
const inPlaceOfBuild = async <Result>(
  { buildFolder, keptFolder, freshFolder }: BuildPlace,
  give: Makepkg['give'],
  work: () => Promise<Result>,
): Promise<Result> => {
  await rename(buildFolder, keptFolder); // an empty folder may be replaced
  await give(buildFolder);
  const result = await work();
  await rename(buildFolder, freshFolder);
  await rename(keptFolder, buildFolder);
  await give(keptFolder);
  return result;
};

/** Copies the paths of a tree from `fresh` to `src`. Only files that differ get a new time, the present one. */
const copyOver = async (
  asUser: AsUser,
  { freshSrc, src }: Paths,
  paths: readonly string[],
): Promise<number> => {
  // Compared by content, and without times: a changed file is newer than any output.
  const copied = await asUser(
    [
      'rsync',
      '--recursive',
      '--links',
      '--perms',
      '--checksum',
      '--force',
      '--from0',
      '--files-from=-',
      '--out-format=%i %n',
      '--',
      `${freshSrc}/`,
      `${src}/`,
    ],
    { input: paths.map((path) => `./${path}`).join('\0') }, // `#` begins a comment in such a list
  );
  return copied.stdout.split('\n').filter((line) => /^(>f|cL)/.test(line)).length;
};

/** Makes the folders of `fresh` in `src`: empty ones are in no tree, and prepare() may have made them for build(). */
const makeFolders = async (asUser: AsUser, { freshSrc, src }: Paths): Promise<void> => {
  const { stdout } = await asUser(['find', freshSrc, '-mindepth', '1', '-type', 'd', '-printf', '%P\\0']);
  const names = stdout.split('\0').filter((name) => name !== '' && !/(^|\/)\.git(\/|$)/.test(name));
  const input = names.map((name) => join(src, name)).join('\0');
  await asUser(['xargs', '-0', '-r', 'mkdir', '-p', '--'], { input });
};

/** Makes `src` hold the prepared sources, and beside them only what the last build has left there. */
const bringOver = async (
  reader: SourceReader,
  buildFolder: string,
  paths: Paths,
  found: SourceTree,
): Promise<SourceCounts> => {
  const { asUser } = reader;
  const ofTheTree = [...found.paths, ...found.configs];
  await asUser(['mkdir', '-p', '--', paths.src]);
  await asUser([
    'find',
    buildFolder,
    ...['-mindepth', '1', '-maxdepth', '2', '!', '-path', dirname(paths.src), '!', '-path', paths.src],
    ...['-exec', 'rm', '-rf', '--', '{}', '+'],
  ]);
  const tree = new Set(ofTheTree);
  const removed = await removeUnknown(asUser, paths.outputsFile, paths.src, tree);
  const changed = await copyOver(asUser, paths, ofTheTree);
  await makeFolders(asUser, paths);
  const others = await changedFiles(reader, paths.src, found);
  if (others.length > 0)
    throw new StepFailed(
      'host',
      `the approved sources did not come over into ${paths.src}: ${others.slice(0, 10).join(', ')}`,
    );
  return { files: tree.size, changed, removed };
};

const readBuilds = async ({ buildsFile }: Paths): Promise<Builds | undefined> =>
  (await isThere(buildsFile)) ? JSON.parse(await readFile(buildsFile, 'utf8')) : undefined;

/** Builds what is in `src`, and notes what that has left there. */
const buildIn = async (
  makepkg: Makepkg,
  place: BuildPlace,
  { paths, ...reader }: SourceReader & { paths: Paths },
  found: SourceTree,
): Promise<Ran> => {
  const tree = new Set([...found.paths, ...found.configs]);
  const note = () => noteOutputs(reader.asUser, paths.outputsFile, paths.src, tree);
  const ran = await makepkg.build(place).catch(async (error: unknown) => {
    // It ended by itself: make has removed what was half-made. Whose outputs these are nobody can tell any more.
    if (error instanceof StepFailed && error.fault === 'work') {
      await rm(paths.buildsFile, { force: true });
      await note();
    }
    throw error;
  });
  const changed = await changedFiles(reader, paths.src, found);
  if (changed.length > 0)
    throw new StepFailed(
      'work',
      `build() has changed ${changed.length} files of the approved sources: ${changed.slice(0, 10).join(', ')}; let prepare() do that, so that people see it`,
    );
  await note();
  return ran;
};

/** Opens, or makes, the worktree of a pkgbase in `folder`. */
export const openWorktree = async (
  makepkg: Makepkg,
  folder: string,
  pkgbase: string,
  { packagesFolder, epochSeconds, git, workFolder }: WorktreeOptions,
): Promise<Worktree> => {
  const place: BuildPlace = { ...placeIn(folder), packagesFolder, epochSeconds };
  const paths = pathsOf(folder, pkgbase);
  const { buildFolder, keptFolder, freshFolder, homeFolder } = place;
  await mkdir(folder, { recursive: true });
  for (const one of [buildFolder, keptFolder, freshFolder, homeFolder]) await makepkg.give(one);
  await writeFile(place.lockFile, '', { flag: 'a' });

  // What is below `build`, `kept` and `fresh` belongs to the user that runs the PKGBUILD's code, and may hold any link.
  // So it is changed only as that user, never as the agent.
  const asUser: AsUser = (argv, options = {}) => makepkg.runInside(place, argv, { quiet: true, ...options });

  const repository = join(workFolder, 'prepared.git');
  // Also where it is there: it may have been cut while it was made.
  await git.run(undefined, ['init', '--quiet', '--bare', repository], { quiet: true });
  const reader: SourceReader = {
    asUser,
    git,
    repository,
    spelled: makepkg.spelled(place),
    sourceBehind: makepkg.sourceBehind,
  };

  // Whoever still works here is waited for. A run that was cut while sources were prepared has left its outputs aside.
  await openUp(asUser, [buildFolder, keptFolder, freshFolder]);
  if ((await readdir(keptFolder)).length > 0) {
    await empty(asUser, [buildFolder]);
    await rename(keptFolder, buildFolder);
    await makepkg.give(keptFolder);
  }

  return {
    place,
    repository,
    prepare: async (wanted) => {
      if (wanted !== undefined && (await isThere(paths.freshSrc))) {
        const found = await sourceTreeOf(reader, paths.freshSrc);
        if (found.tree === wanted.tree && found.config === wanted.config) return { ran: undefined, found };
      }
      await empty(asUser, [freshFolder]);
      const ran = await inPlaceOfBuild(place, makepkg.give, async () => {
        const prepared = await makepkg.prepare(place);
        // Modes of folders are in no tree, and a file that nobody can read is not either.
        await asUser(['chmod', '-R', 'u+rwX', '--', buildFolder]);
        return prepared;
      });
      return { ran, found: await sourceTreeOf(reader, paths.freshSrc) };
    },
    bringOver: async (found) => {
      const sources = await bringOver(reader, buildFolder, paths, found);
      await empty(asUser, [freshFolder]);
      return { sources, before: await readBuilds(paths) };
    },
    build: (found) => buildIn(makepkg, place, { ...reader, paths }, found),
    remember: async (build) => {
      const first = (await readBuilds(paths))?.first ?? build;
      await writeDurably(paths.buildsFile, { last: build, first });
    },
  };
};
