import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SrcinfoChange, StepRequest } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { Head } from './git/commit-files.ts';
import { blobId, type Git } from './git/git.ts';
import type { Makepkg } from './makepkg/makepkg.ts';
import { type BumpedPatch, bumpPkgbuild, type SumKind, sumKinds } from './pkgbuild/pkgbuild.ts';
import { PkgbuildError } from './pkgbuild/pkgbuild-error.ts';
import {
  bumpProblems,
  compareSrcinfo,
  parseSrcinfo,
  type Srcinfo,
  srcinfoVersion,
} from './pkgbuild/srcinfo.ts';
import type { SeriesPatch } from './series/series.ts';

type PackageAt = StepRequest<'land'>['package'];

/** What changes with a bump, according to `.SRCINFO`. */
export interface SeenBump {
  from: string;
  to: string;
  changes: SrcinfoChange[];
}

export interface RehearsedBump extends SeenBump {
  /** The text of the bumped PKGBUILD. */
  pkgbuild: string;
  srcinfo: Srcinfo;
  /** The folder with the bumped PKGBUILD and the patches beside it. */
  folder: string;
}

const hashOf = (kind: SumKind, text: string): string =>
  createHash(kind === 'b2' ? 'blake2b512' : kind)
    .update(text)
    .digest('hex');

const splitVersion = (version: string) => {
  const [, epoch = '', pkgver = '', pkgrel = ''] = /^(?:(\d+):)?(.*)-([^-]+)$/.exec(version) ?? [];
  return { epoch, pkgver, pkgrel };
};

const sourceFile = (entry: string): string =>
  entry.includes('::') ? entry.slice(0, entry.indexOf('::')) : entry.slice(entry.lastIndexOf('/') + 1);

const sourcesOf = ({ base }: Srcinfo, key = 'source'): string[] =>
  (base.values.get(key) ?? []).map(sourceFile);

/** Every file in `source` and in each `source_<arch>`. */
const allSources = (srcinfo: Srcinfo): string[] =>
  [...srcinfo.base.values.keys()]
    .filter((key) => /^source(_\w+)?$/.test(key))
    .flatMap((key) => sourcesOf(srcinfo, key));

/** The bumps of one step. makepkg is asked once for the `.SRCINFO` of each folder's tree. */
export interface PackageBumps {
  /**
   * Bumps the package at a commit, in separate folders and nowhere else.
   * @throws {StepFailed} (work) if the package is not the one that the plan names, or more changes than is meant.
   */
  rehearse(head: Head, request: PackageAt, patches: readonly SeriesPatch[]): Promise<RehearsedBump>;
  /** What a commit changed in a package's folder, by comparing its `.SRCINFO` with its parent's. */
  see(path: string, commit: { parent: string; commit: string }, folder: string): Promise<SeenBump>;
}

export const createPackageBumps = (git: Git, makepkg: Makepkg, workFolder: string): PackageBumps => {
  const known = new Map<string, Srcinfo>();
  const srcinfoAt = async ({ path, commit }: Head, from: string): Promise<Srcinfo> => {
    const tree = (await git.entry(path, commit, from))?.object ?? '';
    const folder = join(workFolder, 'package');
    const srcinfo = known.get(tree) ?? (await exported(git, makepkg, { path, commit }, from, folder));
    known.set(tree, srcinfo);
    return srcinfo;
  };
  return {
    rehearse: async (head, request, patches) => {
      const place = `${request.folder} of "${request.repository}" at ${head.commit}`;
      const pkgbuild = await git.text(head.path, head.commit, `${request.folder}/PKGBUILD`);
      if (pkgbuild === undefined)
        throw new StepFailed('work', `no PKGBUILD in ${place}; expected that of ${request.base}`);
      const before = await srcinfoAt(head, request.folder);
      checkPackage(before, request, place);
      const folder = join(workFolder, 'bumped');
      return rehearse(git, makepkg, { head, request, patches, place, pkgbuild, before, folder });
    },
    see: async (path, { parent, commit }, folder) => {
      const before = await srcinfoAt({ path, commit: parent }, folder);
      const after = await srcinfoAt({ path, commit }, folder);
      return {
        from: srcinfoVersion(before),
        to: srcinfoVersion(after),
        changes: compareSrcinfo(before, after),
      };
    },
  };
};

const exported = async (
  git: Git,
  makepkg: Makepkg,
  { path, commit }: Head,
  from: string,
  folder: string,
): Promise<Srcinfo> => {
  await git.exportFolder(path, commit, from, folder);
  return parseSrcinfo(await makepkg.printSrcinfo(folder));
};

/** @throws {StepFailed} (work) if this is not the package that the plan starts from. */
const checkPackage = (srcinfo: Srcinfo, request: PackageAt, place: string): void => {
  const names = srcinfo.packages.map(({ name }) => name);
  const version = srcinfoVersion(srcinfo);
  if (srcinfo.base.name !== request.base)
    throw new StepFailed(
      'work',
      `the pkgbase in ${place} is ${srcinfo.base.name}; the plan names ${request.base}`,
    );
  if ([...names].sort().join() !== [...request.names].sort().join())
    throw new StepFailed(
      'work',
      `${place} makes ${names.join(', ')}; the plan names ${request.names.join(', ')}`,
    );
  if (version !== request.from)
    throw new StepFailed('work', `${place} has the version ${version}; the plan starts from ${request.from}`);
  if (splitVersion(request.from).epoch !== splitVersion(request.to).epoch)
    throw new StepFailed(
      'work',
      `the plan goes from ${request.from} to ${request.to}; a bump keeps the epoch`,
    );
};

/** The patches that `source` does not name yet, and those that it names but whose files have other bytes. */
const sortPatches = async (
  git: Git,
  { path, commit }: Head,
  request: PackageAt,
  patches: readonly SeriesPatch[],
  sources: readonly string[],
): Promise<{ added: SeriesPatch[]; replaced: SeriesPatch[] }> => {
  const replaced: SeriesPatch[] = [];
  for (const patch of patches.filter(({ file }) => sources.includes(file))) {
    const entry = await git.entry(path, commit, `${request.folder}/${patch.file}`);
    if (entry?.object !== blobId(Buffer.from(patch.text))) replaced.push(patch);
  }
  return { added: patches.filter(({ file }) => !sources.includes(file)), replaced };
};

const rehearse = async (
  git: Git,
  makepkg: Makepkg,
  at: {
    head: Head;
    request: PackageAt;
    patches: readonly SeriesPatch[];
    place: string;
    pkgbuild: string;
    before: Srcinfo;
    folder: string;
  },
): Promise<RehearsedBump> => {
  const { head, request, patches, place, before, folder } = at;
  const [old, meant] = [splitVersion(request.from), splitVersion(request.to)];
  const { added, replaced } = await sortPatches(git, head, request, patches, allSources(before));
  const bumped = ({ file, text }: SeriesPatch): BumpedPatch => ({ file, sums: (kind) => hashOf(kind, text) });
  const versions = {
    pkgrel: meant.pkgrel,
    ...(old.pkgver === meant.pkgver ? {} : { pkgver: meant.pkgver }),
  };
  const pkgbuild = editPkgbuild(at.pkgbuild, place, {
    ...versions,
    addPatches: added.map(bumped),
    replacePatches: replaced.map(bumped),
  });

  await git.exportFolder(head.path, head.commit, request.folder, folder);
  for (const { file, text } of [{ file: 'PKGBUILD', text: pkgbuild }, ...patches]) {
    // A link in the repository may lead anywhere.
    await rm(join(folder, file), { recursive: true, force: true });
    await writeFile(join(folder, file), text, { flag: 'wx' });
  }
  const after = parseSrcinfo(await makepkg.printSrcinfo(folder));
  const changes = compareSrcinfo(before, after);
  const [from, to] = [srcinfoVersion(before), srcinfoVersion(after)];
  const problems = [
    ...bumpProblems(changes, {
      ...versions,
      addedSources: added.map(({ file }) => file),
      replacedSources: replaced.map(({ file }) => file),
    }),
    ...sumProblems(after, patches),
  ];
  if (to !== request.to) problems.push(`the version becomes ${to}; the plan expects ${request.to}`);
  if (problems.length > 0)
    throw new StepFailed('work', `the bump of ${place} does not do what is meant: ${problems.join('; ')}`, {
      seen: { bump: { from, to, changes } },
    });
  return { from, to, changes, pkgbuild, srcinfo: after, folder };
};

const editPkgbuild = (text: string, place: string, bump: Parameters<typeof bumpPkgbuild>[1]): string => {
  try {
    return bumpPkgbuild(text, bump);
  } catch (error) {
    if (!(error instanceof PkgbuildError)) throw error;
    throw new StepFailed('work', `the PKGBUILD in ${place} can't be bumped: ${error.message}`, {
      cause: error,
    });
  }
};

/** Compares the sums of the patches with the patches themselves. */
const sumProblems = (srcinfo: Srcinfo, patches: readonly SeriesPatch[]): string[] => {
  const sources = sourcesOf(srcinfo);
  return patches.flatMap(({ file, text }) => {
    const at = sources.indexOf(file);
    return sumKinds.flatMap((kind) => {
      const sum = srcinfo.base.values.get(`${kind}sums`)?.[at];
      return sum === undefined || sum === hashOf(kind, text) ? [] : [`the ${kind}sum of ${file} is ${sum}`];
    });
  });
};
