import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunOptions } from '../../../host/run.ts';
import type { PatchChecked } from '../../../schemas/steps.ts';
import type { Git } from '../git/git.ts';
import type { SeriesPatch } from './series.ts';
import { type FileDiff, parsePatch, singleHunk } from './series.ts';

type Conflict = PatchChecked['conflicts'][number];
export type AppliedPatch = Omit<PatchChecked, 'defines' | 'uses'>;

export interface AppliedSeries {
  patches: AppliedPatch[];
  /** The tree with the patches that did apply. */
  tree: string;
}

/**
 * Applies a series to a commit in a separate index: no worktree, no fuzz, no three-way merge. A patch that conflicts is
 * left out, so that those after it are checked as well.
 * @param folder A folder for temporary files.
 */
export const applySeries = async (
  git: Git,
  repository: string,
  commit: string,
  patches: readonly SeriesPatch[],
  folder: string,
): Promise<AppliedSeries> => {
  const index = join(folder, 'series.index');
  await rm(index, { force: true });
  const options = { cwd: folder, quiet: true, env: { GIT_INDEX_FILE: index } };
  await git.run(repository, ['read-tree', commit], options);
  const checked: AppliedPatch[] = [];
  for (const patch of patches) checked.push(await applyPatch(git, repository, patch, options));
  const tree = (await git.run(repository, ['write-tree'], options)).stdout.trim();
  await rm(index, { force: true });
  return { patches: checked, tree };
};

const applyPatch = async (
  git: Git,
  repository: string,
  { file, sha256, text }: SeriesPatch,
  options: RunOptions & { cwd: string },
): Promise<AppliedPatch> => {
  const apply = (input: string, ...how: string[]) =>
    git.run(repository, ['apply', '--cached', ...how, '-'], { ...options, input, exitCodes: [0, 1, 128] });
  const diffs = parsePatch(text);
  const about = {
    file,
    sha256,
    ...(await mailHeaders(git, text, options)),
    files: await numstat(git, repository, text, options),
  };
  const applied = await apply(text);
  if (applied.exitCode === 0) return { ...about, status: 'applied', conflicts: [] };
  if (diffs.length > 0 && (await apply(text, '--check', '--reverse')).exitCode === 0)
    return { ...about, status: 'already-there', conflicts: [] };

  const conflicts: Conflict[] = [];
  for (const told of conflictsTold(applied.stderr, diffs)) {
    const diff = diffs.find(({ oldPath, path }) => oldPath === told.path || path === told.path);
    const hunks: Conflict[] = [];
    // git apply stops at a file's first hunk that fails. Trying each hunk on its own finds all of them.
    if (diff !== undefined && told.hunk.startsWith('@@'))
      for (const hunk of diff.hunks)
        if ((await apply(singleHunk(diff, hunk), '--check')).exitCode !== 0)
          hunks.push({ path: told.path, hunk: hunk.header });
    conflicts.push(...(hunks.length > 0 ? hunks : [told]));
  }
  return { ...about, status: 'conflict', conflicts };
};

/**
 * Reads from git's messages which files it could not patch. A conflict is named by the hunk's `@@` line, or, if the
 * file itself is at fault (missing, there already, another type), by git's words.
 */
export const conflictsTold = (stderr: string, diffs: readonly FileDiff[]): Conflict[] => {
  const told = new Map<string, string>();
  for (const line of stderr.split('\n')) {
    const hunk = /^error: patch failed: (.*):(\d+)$/.exec(line);
    if (hunk) {
      const [, path = '', at] = hunk;
      const hunks = diffs.find(({ oldPath }) => oldPath === path)?.hunks ?? [];
      const found = hunks.find(({ oldStart }) => oldStart === Number(at));
      told.set(path, found?.header ?? `@@ at line ${at} @@`);
      continue;
    }
    if (!line.startsWith('error: ')) continue;
    const other = line.slice('error: '.length);
    const colon = other.lastIndexOf(': ');
    const [about, why] = colon < 0 ? [undefined, other] : [other.slice(0, colon), other.slice(colon + 2)];
    if (why === 'patch does not apply') continue;
    const path = diffs.find((diff) => diff.oldPath === about || diff.path === about)?.path;
    if (path !== undefined) told.set(path, why);
    else if (told.size === 0) told.set(diffs[0]?.path ?? '', other);
  }
  if (told.size === 0) told.set(diffs[0]?.path ?? '', stderr.trim().split('\n').at(-1) ?? '');
  return [...told].map(([path, hunk]) => ({ path, hunk }));
};

/** Author and subject as `git am` would take them from the mail; empty if it has none. */
const mailHeaders = async (
  git: Git,
  text: string,
  { cwd }: { cwd: string },
): Promise<{ author: string; subject: string }> => {
  const body = join(cwd, 'mail.body');
  await writeFile(body, '');
  const { stdout } = await git.run(undefined, ['mailinfo', body, join(cwd, 'mail.patch')], {
    cwd,
    quiet: true,
    input: text,
  });
  const header = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(stdout)?.[1] ?? '';
  const email = header('Email');
  return { author: `${header('Author')}${email ? ` <${email}>` : ''}`.trim(), subject: header('Subject') };
};

const numstat = async (
  git: Git,
  repository: string,
  text: string,
  options: RunOptions,
): Promise<AppliedPatch['files']> => {
  const { stdout } = await git.run(repository, ['apply', '--numstat', '-z', '-'], {
    ...options,
    input: text,
    exitCodes: [0, 1, 128],
  });
  return stdout
    .split('\0')
    .filter(Boolean)
    .map((line) => line.split('\t'))
    .map(([added, removed, path = '']) => ({
      path,
      added: Number(added) || 0,
      removed: Number(removed) || 0,
    }));
};
