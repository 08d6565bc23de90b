import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { orNoRoom } from '../../host/disk-room.ts';
import type { BuilderConfig } from '../../schemas/config.ts';
import type { StepEvidence, StepRequest, SymbolFound } from '../../schemas/steps.ts';
import { asStepFailed, StepFailed } from '../runtime/errors.ts';
import type { Step } from '../runtime/step.ts';
import { type Head, headOf, treeWith } from './git/commit-files.ts';
import { createGit, type Git } from './git/git.ts';
import { bumpedTexts, includePatches } from './land.ts';
import { createMakepkg } from './makepkg/makepkg.ts';
import { createPackageBumps, type RehearsedBump } from './package-bump.ts';
import { rehearsePrepare } from './rehearse-prepare.ts';
import { rehearseRelease } from './rehearse-release.ts';
import { type AppliedPatch, applySeries } from './series/apply-series.ts';
import { findSymbols, grepSymbols } from './series/find-symbols.ts';
import { patchsetHash, readSeries, type SeriesPatch } from './series/series.ts';
import { readSymbols } from './series/symbols.ts';

type Request = StepRequest<'preflight'>;
type Evidence = StepEvidence<'preflight'>;

/**
 * Checks whether the plan can be done: the baseline, the series on it, the symbols, the manifest, the bump, and what the
 * bumped package's `prepare()` makes of its sources. It changes only this host's copies of the repositories and the
 * package's worktree, which repairs itself, so it has no effects and may be run again from any point.
 */
export const preflight: Step<'preflight', BuilderConfig> = async (
  request,
  { host, run, note, workFolder, iteration },
) => {
  const { series, baseline } = request;
  const patchesAsked = readSeries(series.patches);
  const git = createGit(run, host);
  const makepkg = createMakepkg(run, host);

  const kernel = await checkBaseline(git, baseline);
  const applied = await applySeries(git, kernel.path, kernel.commit, patchesAsked, workFolder);
  const read = patchesAsked.map(({ file, text }) => ({ file, symbols: readSymbols(text) }));
  const { table: symbols, uses } = await findSymbols(request.symbols, read, (names) =>
    grepSymbols(git, kernel.path, kernel.commit, names, workFolder),
  );
  const patches = applied.patches.map((patch, order) => ({
    ...patch,
    defines: [...(read[order]?.symbols.defines ?? [])].sort(),
    uses: uses.get(patch.file) ?? [],
  }));
  const seen = {
    baseline: { tag: baseline.tag, commit: kernel.commit },
    tree: applied.tree,
    patchset: patchsetHash(patchesAsked),
    patches,
    symbols,
  };
  for (const { file, status, files } of patches) note(`${file}: ${status}, ${files.length} files`);
  refuseConflicts(applied.patches, baseline, seen);
  refuseSymbols(symbols, read, seen);

  return keepSeen(seen, async () => {
    await checkManifest(git, request);
    const head = await headOf(git, request.package);
    const bumps = createPackageBumps(git, makepkg, workFolder);
    const rehearsed = await bumps.rehearse(head, request.package, patchesAsked);
    const { from, to, changes, folder } = rehearsed;
    const packagingTree = await packagingTreeOf(git, head, request.package.folder, rehearsed, patchesAsked);
    const packaging = await packagingDiff(git, head, request, { tree: packagingTree, workFolder });
    const expectedFiles = await makepkg.packageList(folder);
    const tree = { path: kernel.path, tree: applied.tree };
    const release = await rehearseRelease(git, tree, rehearsed, host.makepkg.carch);
    const epochSeconds = await git.committedAt(head.path, head.commit);
    const prepared = await orNoRoom(host.makepkg.worktreesFolder, () =>
      rehearsePrepare(
        { git, makepkg, run, host, workFolder },
        { iteration, base: request.package.base, folder, epochSeconds, kernel: tree },
      ),
    );
    const evidence = {
      ...seen,
      packagingTree,
      packaging,
      prepared,
      bump: { from, to, changes },
      release,
      expectedFiles,
    };
    const promised = request.package.release;
    if (promised === undefined || release.predicted === promised) return evidence;
    const expected = `the plan expects ${promised}`;
    throw new StepFailed('work', `the kernel's release will be ${release.predicted}, but ${expected}`, {
      seen: evidence,
    });
  });
};

/** Adds to a failure what was seen before it. */
const keepSeen = async (seen: Partial<Evidence>, look: () => Promise<Evidence>): Promise<Evidence> => {
  try {
    return await look();
  } catch (thrown) {
    const error = asStepFailed(thrown);
    if (!(error instanceof StepFailed)) throw error;
    const more = typeof error.seen === 'object' ? error.seen : {};
    const { fault, code, message, cause } = error;
    throw new StepFailed(fault, message, {
      seen: { ...seen, ...more },
      cause,
      ...(code === undefined ? {} : { code }),
    });
  }
};

const checkBaseline = async (git: Git, { repository, tag, commit }: Request['baseline']): Promise<Head> => {
  const path = await git.mirror(repository);
  const found = await git.resolve(path, `refs/tags/${tag}`);
  if (found === undefined) {
    const tags = (await git.names(path, 'refs/tags/')).slice(0, 5).join(', ') || 'none';
    throw new StepFailed('work', `"${repository}" has no tag ${tag}; its newest are ${tags}`);
  }
  if (found !== commit)
    throw new StepFailed(
      'work',
      `${tag} of "${repository}" is ${found}, but the plan is made for ${commit}`,
      {
        seen: { baseline: { tag, commit: found } },
      },
    );
  return { path, commit };
};

const refuseConflicts = (
  patches: readonly AppliedPatch[],
  { tag }: Request['baseline'],
  seen: unknown,
): void => {
  const conflicts = patches.flatMap(({ file, conflicts }) =>
    conflicts.map(({ path, hunk }) => `${file} conflicts in ${path || 'itself'} at ${hunk}`),
  );
  if (conflicts.length > 0)
    throw new StepFailed('work', `on ${tag}, patch ${conflicts.join('; ')}`, { code: 'conflict', seen });
  if (patches.every(({ status }) => status === 'already-there'))
    throw new StepFailed('work', `${tag} holds every patch of the series already: there is nothing to land`, {
      seen,
    });
};

const refuseSymbols = (
  symbols: readonly SymbolFound[],
  patches: readonly { file: string; symbols: { defines: ReadonlySet<string> } }[],
  seen: unknown,
): void => {
  const problems = symbols.flatMap(({ symbol, status, usedBy }) => {
    const users = usedBy.length > 0 ? `${usedBy.join(', ')} uses` : 'the plan lists';
    if (status === 'missing')
      return [`${users} ${symbol}, which neither the baseline nor the series defines`];
    if (status !== 'defined-later') return [];
    const definer = patches.find((patch) => patch.symbols.defines.has(symbol))?.file;
    return [`${usedBy[0]} uses ${symbol}, which only the later ${definer} defines: their order is wrong`];
  });
  if (problems.length > 0)
    throw new StepFailed('work', problems.join('; '), { code: 'symbol-missing', seen });
};

/** The tree of the package's folder as it will be landed. */
const packagingTreeOf = async (
  git: Git,
  head: Head,
  folder: string,
  { pkgbuild }: RehearsedBump,
  patches: readonly SeriesPatch[],
): Promise<string> => {
  const tree = await treeWith(git, head, bumpedTexts(folder, pkgbuild, patches));
  const entry = await git.entry(head.path, tree, folder);
  if (entry === undefined) throw new Error(`${folder} is not in the tree that was just made of it`);
  return entry.object;
};

/** The longest difference that people are shown. */
const longestDiffBytes = 512 * 1024;

/** What reviewers are shown of the package's folder: its difference from what the last closed iteration landed. */
const packagingDiff = async (
  git: Git,
  { path }: Head,
  { since, package: { folder } }: Request,
  { tree, workFolder }: { tree: string; workFolder: string },
): Promise<Evidence['packaging']> => {
  // Whoever can push may have rewritten the branch: then all of it is shown.
  const before = since === undefined ? undefined : await git.resolve(path, since);
  const there = before === undefined ? undefined : await git.entry(path, before, folder);
  const hash = ['hash-object', '-w', '-t', 'tree', '--stdin'];
  const emptyTree = (await git.run(path, hash, { quiet: true, input: '' })).stdout.trim();
  // As text, whatever is in it: git shows nothing of a file with a NUL, and bash reads on. What runs comes first.
  const order = join(workFolder, 'order');
  await writeFile(order, 'PKGBUILD\n*.install\n*.sh\n');
  const diff = [
    'diff-tree',
    '-r',
    '-p',
    `-O${order}`,
    '--text',
    '--no-renames',
    '--no-ext-diff',
    '--no-textconv',
  ];
  const { stdout } = await git.run(path, [...diff, there?.object ?? emptyTree, tree], { quiet: true });
  const bytes = Buffer.from(stdout);
  return {
    since: there ? (before ?? null) : null,
    diff: bytes.subarray(0, longestDiffBytes).toString('utf8'),
    sizeBytes: bytes.length,
  };
};

const checkManifest = async (git: Git, { manifest, series }: Request): Promise<void> => {
  const { path, commit } = await headOf(git, manifest);
  const place = `${manifest.file} of "${manifest.repository}" at ${commit}`;
  includePatches(await git.text(path, commit, manifest.file), series, place);
};
