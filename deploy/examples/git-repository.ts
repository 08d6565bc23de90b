import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../host/run.ts';

export interface FirstCommit {
  author: string;
  email: string;
  /** As git takes it: `2026-04-12T00:00:00Z`. */
  date: string;
  message: string;
  tag?: string;
}

/** Keeps the user's and the machine's git settings out of the commits. */
const ownSettings = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', HOME: '/nonexistent' };

/**
 * Makes a bare repository with the branch `main` and one commit of the folder `content`. The same content and facts
 * give the same commit id on every machine.
 * @param settings git settings, `name=value`, for large repositories.
 * @returns the commit's id.
 */
export const makeBareRepository = async (
  run: Run,
  repository: string,
  content: string,
  { author, email, date, message, tag }: FirstCommit,
  settings: readonly string[] = [],
): Promise<string> => {
  await rm(repository, { recursive: true, force: true });
  await mkdir(repository, { recursive: true });
  const env = {
    ...ownSettings,
    GIT_DIR: repository,
    GIT_AUTHOR_NAME: author,
    GIT_AUTHOR_EMAIL: email,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: author,
    GIT_COMMITTER_EMAIL: email,
    GIT_COMMITTER_DATE: date,
  };
  const options = settings.flatMap((setting) => ['-c', setting]);
  const git = async (...args: string[]) =>
    (await run(['git', ...options, ...args], { env, quiet: true })).stdout.trim();
  await git('init', '--quiet', '--bare', '--template=', '--initial-branch=main');
  await git(`--work-tree=${content}`, '-c', 'core.bare=false', 'add', '--all', '--force', '.');
  const tree = await git('write-tree');
  const commit = await git('commit-tree', '-m', message, tree);
  await git('update-ref', 'refs/heads/main', commit);
  if (tag !== undefined) await git('update-ref', `refs/tags/${tag}`, commit);
  await git('config', 'receive.denyNonFastForwards', 'true');
  await rm(join(repository, 'index'), { force: true });
  return commit;
};

/** Writes a tag's tree as a tar with the given prefix: the same bytes for the same tree. */
export const archiveTag = async (
  run: Run,
  repository: string,
  tag: string,
  prefix: string,
  file: string,
): Promise<void> => {
  await run(
    ['git', `--git-dir=${repository}`, 'archive', '--format=tar', `--prefix=${prefix}/`, '-o', file, tag],
    {
      env: ownSettings,
      quiet: true,
    },
  );
};
