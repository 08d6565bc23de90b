import type { AttemptId } from '../../schemas/attempt-id.ts';
import type { BuilderConfig } from '../../schemas/config.ts';
import { sha256 } from '../../schemas/hash.ts';
import { patchBytes } from '../../schemas/plan.ts';
import { treeFor } from '../../schemas/reviewed.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { packageIn, requireAgreed } from '../runtime/agreed-plan.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { Step } from '../runtime/step.ts';
import {
  type Committing,
  commitFiles,
  type Head,
  probeCommit,
  rehearseCommit,
  type SeenCommit,
} from './git/commit-files.ts';
import { createGit, type Git } from './git/git.ts';
import { createMakepkg } from './makepkg/makepkg.ts';
import { addIncludes, ManifestError, readIncludes } from './manifest.ts';
import { createPackageBumps, type PackageBumps, type RehearsedBump } from './package-bump.ts';
import { patchsetHash, readSeries, type SeriesPatch } from './series/series.ts';

type Request = StepRequest<'land'>;

/**
 * Lands a series: one commit with the patches and the manifest's includes, one with the package's bump. Nothing is
 * pushed before people have agreed to it and both are known to be possible. A cut between the two leaves the first; the
 * next run, or another builder that takes over, finds it by its trailer.
 */
export const land: Step<'land', BuilderConfig> = async (request, context) => {
  const { effect, host, run, workFolder, trust, iteration, askedAt } = context;
  const by = { trust, iteration, usedAt: askedAt };
  requireAgreed(request.approved, by, agreedFacts(request), (plan) => ({
    title: plan.title,
    scope: plan.series.scope,
    manifest: plan.manifest,
    package: packageIn(plan),
    patches: request.approved.patches,
  }));
  const tree = treeFor(request.approved, 'packaging');
  if (tree === undefined) throw new StepFailed('work', 'people have approved no packaging tree');
  const series = readSeries(request.series.patches);
  const patchset = patchsetHash(series);
  if (patchset !== request.patchset)
    throw new StepFailed('work', `the series is ${patchset}; preflight has seen ${request.patchset}`);
  const git = createGit(run, host);
  const bumps = createPackageBumps(git, createMakepkg(run, host), workFolder);
  const patches = patchesCommit(git, request, series, context);
  const bump = bumpCommit(bumps, { ...request, tree }, series, context);
  await rehearseCommit(git, patches);
  await rehearseCommit(git, bump);

  const landed = await effect('manifest', {
    probe: () => probeCommit(git, patches),
    act: () => commitFiles(git, host, patches),
  });
  const bumped = await effect('package', {
    probe: () => probeCommit(git, bump),
    act: () => commitFiles(git, host, bump),
  });

  const packages = await git.mirror(bump.repository);
  return {
    commits: [landed, bumped],
    includes: await seeIncludes(git, await git.mirror(patches.repository), landed, request.manifest.file),
    bump: await bumps.see(packages, bumped, request.package.folder),
  };
};

/** What is landed, as plan and approvals name it. */
const agreedFacts = ({ title, series, manifest, package: packageAt }: Request) => ({
  title,
  scope: series.scope,
  manifest,
  package: packageAt,
  patches: series.patches.map((patch) => sha256(patchBytes(patch))),
});

/** The patches' texts, by their paths in a folder. */
const textsIn = (folder: string, patches: readonly SeriesPatch[]): Record<string, string> =>
  Object.fromEntries(patches.map(({ file, text }) => [`${folder}/${file}`, text]));

/** Puts a title on one line: in a commit's message, a further line could pass for a trailer. */
const oneLine = (title: string): string => title.replace(/\s+/g, ' ').trim();

const patchesCommit = (
  git: Git,
  { title, series, manifest }: Request,
  patches: readonly SeriesPatch[],
  attempt: AttemptId,
): Committing => ({
  repository: manifest.repository,
  branch: manifest.branch,
  message: `patches: ${oneLine(title)}\n\n${series.patches.map(({ file }) => `${series.scope}/${file}`).join('\n')}`,
  iteration: attempt.iteration,
  step: attempt.step,
  attempt: attempt.attempt,
  part: 'manifest',
  texts: textsIn(`patches/${series.scope}`, patches),
  edited: {
    paths: [manifest.file],
    at: async ({ path, commit }) => {
      const place = `${manifest.file} of "${manifest.repository}" at ${commit}`;
      return {
        [manifest.file]: includePatches(await git.text(path, commit, manifest.file), series, place).text,
      };
    },
  },
});

/** The manifest with the series in its includes. @throws {StepFailed} (work) if it can't be edited. */
export const includePatches = (
  text: string | undefined,
  { scope, patches }: Request['series'],
  place: string,
): ReturnType<typeof addIncludes> => {
  if (text === undefined) throw new StepFailed('work', `no manifest at ${place}`);
  try {
    return addIncludes(
      text,
      patches.map(({ file }) => `${scope}/${file}`),
    );
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw new StepFailed('work', `${place}: ${error.message}`, { cause: error });
  }
};

const bumpCommit = (
  bumps: PackageBumps,
  request: Request & { tree: string },
  patches: readonly SeriesPatch[],
  attempt: AttemptId,
): Committing => {
  const { folder, repository, branch, base, to } = request.package;
  const pkgbuild = `${folder}/PKGBUILD`;
  let last: { commit: string; bump: Promise<RehearsedBump> } | undefined;
  /** Called before the first push and again for the commit; for the same head the bump is computed once. */
  const rehearsed = (head: Head) => {
    if (last?.commit !== head.commit)
      last = { commit: head.commit, bump: bumps.rehearse(head, request.package, patches) };
    return last.bump;
  };
  return {
    repository,
    branch,
    message: `${base}: bump to ${to}\n\n${oneLine(request.title)}`,
    iteration: attempt.iteration,
    step: attempt.step,
    attempt: attempt.attempt,
    part: 'package',
    approved: { folder, tree: request.tree },
    texts: textsIn(folder, patches),
    edited: {
      paths: [pkgbuild],
      at: async (head) => ({ [pkgbuild]: (await rehearsed(head)).pkgbuild }),
    },
  };
};

/** The texts that a bump writes into a package's folder, by their paths. */
export const bumpedTexts = (
  folder: string,
  pkgbuild: string,
  patches: readonly SeriesPatch[],
): Record<string, string> => ({
  [`${folder}/PKGBUILD`]: pkgbuild,
  ...textsIn(folder, patches),
});

const seeIncludes = async (git: Git, path: string, { parent, commit }: SeenCommit, file: string) => {
  const at = async (of: string) => readIncludes((await git.text(path, of, file)) ?? '');
  return { before: await at(parent), after: await at(commit) };
};
