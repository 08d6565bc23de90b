import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../host/run.ts';
import type { BuilderConfig } from '../../schemas/config.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import type { Git } from './git/git.ts';
import type { Makepkg } from './makepkg/makepkg.ts';
import { placePackage } from './makepkg/place-package.ts';
import { notOfTheTree } from './makepkg/source-tree.ts';
import { noteSources } from './makepkg/used-sources.ts';
import { openWorktree } from './makepkg/worktree.ts';

type Prepared = StepEvidence<'preflight'>['prepared'];

/** What of the differences is named; the rest is counted. */
const mostChanges = 500;

/**
 * The folder of the prepared tree that is the kernel: of those with a Makefile, the one with the fewest differences from
 * the baseline with the series. Null if there is none.
 */
const beside = async (
  git: Git,
  repository: string,
  prepared: string,
  tree: string,
): Promise<Prepared['beside']> => {
  const list = ['ls-tree', '-r', '-z', '--name-only', prepared];
  const names = (await git.run(repository, list, { quiet: true })).stdout.split('\0');
  const folders = names.flatMap((name) => /^(?:([^/]+)\/)?Makefile$/.exec(name)?.slice(1, 2) ?? []);
  let best: Prepared['beside'] = null;
  for (const folder of folders) {
    const within = folder === undefined ? prepared : `${prepared}:${folder}`;
    const diff = ['diff-tree', '-r', '-z', '--name-status', '--no-renames', tree, within];
    const fields = (await git.run(repository, diff, { quiet: true })).stdout.split('\0').filter(Boolean);
    const count = fields.length / 2;
    if (best && best.count <= count) continue;
    const files = [];
    for (let at = 0; at < fields.length && files.length < mostChanges; at += 2)
      files.push({ status: fields[at] ?? '', path: fields[at + 1] ?? '' });
    best = { folder: folder ?? '.', count, files };
  }
  return best;
};

/**
 * Runs `prepare()` of the folder that will land, as its build will: the sources that come of it are what people approve,
 * and the build uses them.
 * @throws {StepFailed} as {@link Makepkg.prepare} does.
 */
export const rehearsePrepare = async (
  {
    git,
    makepkg,
    run,
    host,
    workFolder,
  }: {
    git: Git;
    makepkg: Makepkg;
    run: Run;
    host: BuilderConfig;
    workFolder: string;
  },
  of: {
    iteration: string;
    base: string;
    /** The package's folder, bumped. */
    folder: string;
    epochSeconds: number;
    /** The kernel's repository here, and the tree of the baseline with the series applied. */
    kernel: { path: string; tree: string };
  },
): Promise<Prepared> => {
  const { iteration, base, epochSeconds, kernel } = of;
  const tree = await openWorktree(makepkg, join(host.makepkg.worktreesFolder, base), base, {
    git,
    workFolder,
    packagesFolder: join(workFolder, 'packages'),
    epochSeconds,
  });
  await placePackage(run, of.folder, tree.place.packageFolder);
  const { found } = await tree.prepare();
  await noteSources(host, { iteration, base, files: await makepkg.fetchedSources(tree.place) });
  await writeFile(
    join(tree.repository, 'objects', 'info', 'alternates'),
    `${join(kernel.path, 'objects')}\n`,
  );
  return {
    tree: found.tree,
    config: found.config,
    epochSeconds,
    excluded: [...notOfTheTree],
    files: found.paths.length,
    beside: await beside(git, tree.repository, found.tree, kernel.tree),
  };
};
