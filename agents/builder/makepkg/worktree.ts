import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isThere } from '../../../host/is-there.ts';
import type { Ran } from '../../../host/run.ts';
import { syncPath } from '../../../host/sync-path.ts';
import type { BuildBefore, StepEvidence } from '../../../schemas/steps.ts';
import type { BuildPlace, Makepkg } from './makepkg.ts';

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
 *     build/<pkgbase>/src    the prepared sources and the build's outputs
 *     build/<pkgbase>/src.kept, src.fresh    while new sources are prepared
 *     prepared.json          every file in `src` that may have come from prepared sources
 *     building               is there while makepkg builds
 *     builds.json            the finished builds that `src` holds the outputs of; none while makepkg builds
 *     lock
 */
export interface Worktree {
  place: BuildPlace;
  /** Makes `src` match the result of the PKGBUILD's sources and `prepare()`. Repairs whatever the last run left. */
  prepare: () => Promise<{ ran: Ran; sources: SourceCounts; before: Builds | undefined }>;
  /** Builds and packages what is in `src` into the place's packages folder. */
  build: () => Promise<Ran>;
  /** Remembers the finished build, so that the next one can report which builds it rests on. */
  remember: (build: BuildBefore) => Promise<void>;
}

const writeDurably = async (file: string, text: string): Promise<void> => {
  const part = `${file}.part`;
  await writeFile(part, text);
  await syncPath(part);
  await rename(part, file);
  await syncPath(dirname(file));
};

/** The paths of a worktree's parts. */
const pathsOf = (folder: string, pkgbase: string) => {
  const inside = join(folder, 'build', pkgbase);
  return {
    listFile: join(folder, 'prepared.json'),
    markFile: join(folder, 'building'),
    buildsFile: join(folder, 'builds.json'),
    inside,
    src: join(inside, 'src'),
    kept: join(inside, 'src.kept'),
    fresh: join(inside, 'src.fresh'),
    temp: join(inside, 'temp'),
  };
};
type Paths = ReturnType<typeof pathsOf>;

/** What in a worktree is written when it is used, and says so by its time. */
export const worktreeMarks = (folder: string): string[] => {
  const { listFile, markFile, buildsFile } = pathsOf(folder, basename(folder));
  return [listFile, markFile, buildsFile];
};

/** Runs a program as the user that builds, within the worktree. */
type AsUser = (argv: string[], input?: string) => Promise<Ran>;

/** Repairs what the last run left. */
const heal = async (asUser: AsUser, paths: Paths): Promise<void> => {
  const { listFile, markFile, buildsFile, inside, src, kept, fresh, temp } = paths;
  await asUser(['mkdir', '-p', '--', inside]);
  // A killed build may have left a half-written output that looks finished because it is newer than its source. Nothing
  // there can be relied on. Without a list nobody knows which files came from prepared sources.
  if ((await isThere(markFile)) || !(await isThere(listFile))) {
    await asUser(['rm', '-rf', '--', src, kept, fresh]);
    for (const file of [buildsFile, listFile, markFile]) await rm(file, { force: true });
  }
  // The last run was cut while new sources were prepared: `src` is half-made or missing.
  if (await isThere(kept)) {
    await asUser(['rm', '-rf', '--', src]);
    await asUser(['mv', '-T', '--', kept, src]);
  }
  await asUser(['rm', '-rf', '--', fresh, temp]);
  await asUser(['mkdir', '-p', '--', src, temp]);
};

const listFiles = async (asUser: AsUser, root: string): Promise<string[]> => {
  const found = ['find', root, '-mindepth', '1', '!', '-type', 'd', '-printf', '%P\\0'];
  return (await asUser(found)).stdout.split('\0').filter((name) => name !== '');
};

/** Makes `src` match `src.fresh`. @param holdsNothing whether there is nothing to keep. */
const bringOver = async (asUser: AsUser, paths: Paths, holdsNothing: boolean): Promise<SourceCounts> => {
  const { listFile, src, fresh, temp } = paths;
  const now = new Set(await listFiles(asUser, fresh));
  const before: string[] = (await isThere(listFile)) ? JSON.parse(await readFile(listFile, 'utf8')) : [];
  const gone = before.filter((name) => !now.has(name));
  // At first the list holds the old and the new files; it holds only the new ones once `src` does too. After a cut in
  // between it names every file that may be there, so the next run still removes what a dropped patch had added.
  await writeDurably(listFile, JSON.stringify([...now, ...gone]));
  if (holdsNothing) {
    // After a cut here, the next run finds all it needs to copy every file.
    await asUser(['rmdir', '--', src]);
    await asUser(['mv', '-T', '--', fresh, src]);
    return { files: now.size, changed: now.size, removed: 0 };
  }
  const names = gone.map((name) => join(src, name)).join('\0');
  if (gone.length > 0) await asUser(['xargs', '-0', 'rm', '-rf', '--'], names);
  // Compared by content, and without times: only files that differ get a new mtime, which is the present time and newer
  // than any output. Outputs are in neither list and stay.
  const copied = await asUser([
    'rsync',
    '--recursive',
    '--links',
    '--perms',
    '--checksum',
    '--force',
    `--temp-dir=${temp}`,
    '--out-format=%i %n',
    '--',
    `${fresh}/`,
    `${src}/`,
  ]);
  await writeDurably(listFile, JSON.stringify([...now]));
  await asUser(['rm', '-rf', '--', fresh]);
  const changed = copied.stdout.split('\n').filter((line) => /^(>f|cL)/.test(line)).length;
  return { files: now.size, changed, removed: gone.length };
};

/** Builds what is in `src`. A killed build leaves a mark, which means that nothing there can be relied on. */
const buildIn = async (
  makepkg: Makepkg,
  place: BuildPlace,
  asUser: AsUser,
  { markFile, buildsFile, src }: Paths,
): Promise<Ran> => {
  await writeDurably(markFile, '');
  // Until this build is finished, nobody can tell which builds the outputs are from.
  await rm(buildsFile, { force: true });
  const ran = await makepkg.build(place).catch(async (error: unknown) => {
    // It ended by itself, so make has removed unfinished outputs. That does not hold if it was killed or stopped, or if
    // the disk was full.
    if (error instanceof Error && 'fault' in error && error.fault === 'work')
      await rm(markFile, { force: true });
    throw error;
  });
  await asUser(['sync', '-f', '--', src]);
  await rm(markFile, { force: true });
  return ran;
};

/** Opens, or makes, the worktree of a pkgbase in `folder`. */
export const openWorktree = async (
  makepkg: Makepkg,
  folder: string,
  pkgbase: string,
  { packagesFolder, epochSeconds }: Pick<BuildPlace, 'packagesFolder' | 'epochSeconds'>,
): Promise<Worktree> => {
  const place: BuildPlace = {
    packageFolder: join(folder, 'package'),
    buildFolder: join(folder, 'build'),
    packagesFolder,
    homeFolder: join(folder, 'home'),
    lockFile: join(folder, 'lock'),
    epochSeconds,
  };
  const paths = pathsOf(folder, pkgbase);
  const { listFile, buildsFile, src, kept, fresh } = paths;
  await mkdir(folder, { recursive: true });
  for (const one of [place.buildFolder, place.homeFolder]) await makepkg.give(one);
  await writeFile(place.lockFile, '', { flag: 'a' });

  // What is below `build` belongs to the user that runs the PKGBUILD's code, and may hold any link. So it is changed
  // only as that user, never as the agent.
  const asUser: AsUser = (argv, input) =>
    makepkg.runInside(place, argv, { quiet: true, ...(input === undefined ? {} : { input }) });

  /** What the worktree held before its sources were prepared. */
  let held: { nothing: boolean; builds?: Builds } = { nothing: false };
  return {
    place,
    prepare: async () => {
      await heal(asUser, paths);
      held = {
        nothing: !(await isThere(listFile)),
        ...((await isThere(buildsFile)) && { builds: JSON.parse(await readFile(buildsFile, 'utf8')) }),
      };
      // Sources are prepared in the folder in which they are built, since prepare() may write that path into files.
      await asUser(['mv', '-T', '--', src, kept]);
      const ran = await makepkg.prepare(place);
      await asUser(['mv', '-T', '--', src, fresh]);
      await asUser(['mv', '-T', '--', kept, src]);
      const sources = await bringOver(asUser, paths, held.nothing);
      return { ran, sources, before: held.nothing ? undefined : held.builds };
    },
    build: () => buildIn(makepkg, place, asUser, paths),
    remember: (build) => {
      const builds: Builds = { last: build };
      const first = held.nothing ? build : held.builds?.first;
      return writeDurably(buildsFile, JSON.stringify(first ? { ...builds, first } : builds));
    },
  };
};
