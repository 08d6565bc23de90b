import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuilderConfig } from '../../../schemas/config.ts';
import type { StepEvidence } from '../../../schemas/steps.ts';
import { StepFailed } from '../../runtime/errors.ts';
import type { Probed } from '../../runtime/step.ts';
import { blobId, type Git } from './git.ts';

export type SeenCommit = StepEvidence<'record'>['commit'];

/** A commit of the mirror at `path`. */
export interface Head {
  path: string;
  commit: string;
}

/** One commit on a branch, known by its trailers: `Ka-Request` is `<iteration>/<step>/<attempt>/<part>`. */
export interface Committing {
  repository: string;
  branch: string;
  /** Subject and body, without trailers. */
  message: string;
  iteration: string;
  step: string;
  attempt: number;
  /** Which of the step's commits this is. */
  part: string;
  /** Path → text of the files whose text does not depend on the branch. */
  texts: Readonly<Record<string, string>>;
  /** What a folder has to be with the commit: the tree that people have approved. */
  approved?: { folder: string; tree: string };
  /** The files whose text follows from the branch's head. `at` is called again if somebody else was faster. */
  edited?: { paths: readonly string[]; at: (head: Head) => Promise<Readonly<Record<string, string>>> };
}

const pushes = 6;

const pathsOf = ({ texts, edited }: Committing): string[] => [
  ...Object.keys(texts),
  ...(edited?.paths ?? []),
];

const requestTrailer = ({ iteration, step, part }: Committing, attempt: number | string): string =>
  `${iteration}/${step}/${attempt}/${part}`;

/** The head of a branch, as the remote has it now. @throws {StepFailed} (work) if there is no such branch. */
export const headOf = async (
  git: Git,
  { repository, branch }: Pick<Committing, 'repository' | 'branch'>,
): Promise<Head> => {
  const path = await git.mirror(repository);
  const commit = await git.resolve(path, `refs/heads/${branch}`);
  if (commit !== undefined) return { path, commit };
  const branches = (await git.names(path, 'refs/heads/')).join(', ') || 'none';
  throw new StepFailed('work', `the repository "${repository}" has no branch ${branch}; it has ${branches}`);
};

/**
 * Reads what a commit holds at the paths that it was meant to write.
 * @throws {StepFailed} as {@link requireApprovedTree} does.
 */
const see = async (git: Git, committing: Committing, path: string, commit: string): Promise<SeenCommit> => {
  await requireApprovedTree(git, committing, path, commit);
  const files: SeenCommit['files'] = [];
  for (const file of pathsOf(committing)) {
    const text = await git.text(path, commit, file);
    if (text === undefined) throw new StepFailed('work', `the commit ${commit} does not hold ${file}`);
    files.push({ path: file, sha256: createHash('sha256').update(text).digest('hex') });
  }
  const parent = await git.resolve(path, `${commit}^`);
  if (parent === undefined) throw new StepFailed('work', `the commit ${commit} has no parent`);
  return { repository: committing.repository, branch: committing.branch, parent, commit, files };
};

/** The requests that each commit of the branch answers, for this iteration and step; the newest commit first. */
const answered = async (git: Git, { path, commit }: Head, { iteration, step }: Committing) => {
  const { stdout } = await git.run(
    path,
    [
      ...['log', '--fixed-strings', `--grep=Ka-Request: ${iteration}/${step}/`],
      ...['--format=%H %(trailers:key=Ka-Request,valueonly,separator=%x20)', commit, '--'],
    ],
    { quiet: true },
  );
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' '))
    .map(([id = '', ...requests]) => ({ commit: id, requests }));
};

const findAt = async (git: Git, committing: Committing, head: Head): Promise<SeenCommit | undefined> => {
  const wanted = requestTrailer(committing, committing.attempt);
  const found = (await answered(git, head, committing)).find(({ requests }) => requests.includes(wanted));
  return found && see(git, committing, head.path, found.commit);
};

/**
 * The commit that this attempt has pushed, as the remote has it now.
 * @throws {StepFailed} as {@link Git.mirror} does, and (work) if there is no such branch.
 */
export const findCommit = async (git: Git, committing: Committing): Promise<SeenCommit | undefined> =>
  findAt(git, committing, await headOf(git, committing));

/** {@link findCommit} as an effect's probe. */
export const probeCommit = async (git: Git, committing: Committing): Promise<Probed<SeenCommit>> => {
  const found = await findCommit(git, committing);
  return found ? { happened: 'yes', result: found } : { happened: 'no' };
};

/**
 * A valid commit of an earlier attempt: another builder pushed it before that builder was replaced. It counts if it
 * wrote the same texts, and nobody has changed them since.
 */
const standing = async (git: Git, committing: Committing, head: Head): Promise<string | undefined> => {
  const [start = '', end = ''] = requestTrailer(committing, '*').split('*');
  const earlier = (await answered(git, head, committing)).find(({ requests }) =>
    requests.some((request) => request.startsWith(start) && request.endsWith(end)),
  );
  if (earlier === undefined) return undefined;
  for (const path of pathsOf(committing)) {
    const object = (await git.entry(head.path, earlier.commit, path))?.object;
    const text = committing.texts[path];
    if (text !== undefined && object !== blobId(Buffer.from(text))) return undefined;
    if (object !== (await git.entry(head.path, head.commit, path))?.object) return undefined;
  }
  return earlier.commit;
};

/** Makes the tree of a commit with other texts at some paths. @returns its id. */
export const treeWith = async (
  git: Git,
  head: Head,
  texts: Readonly<Record<string, string>>,
): Promise<string> => {
  const index = join(head.path, `ka-${process.pid}.index`);
  await rm(index, { force: true });
  const options = { quiet: true, env: { GIT_INDEX_FILE: index } };
  try {
    await git.run(head.path, ['read-tree', head.commit], options);
    for (const [path, text] of Object.entries(texts)) {
      const hash = ['hash-object', '-w', '--stdin'];
      const blob = (await git.run(head.path, hash, { ...options, input: text })).stdout.trim();
      const there = await git.entry(head.path, head.commit, path);
      const mode = there?.mode === '100755' ? there.mode : '100644';
      await git.run(head.path, ['update-index', '--add', '--cacheinfo', `${mode},${blob},${path}`], options);
    }
    return (await git.run(head.path, ['write-tree'], options)).stdout.trim();
  } finally {
    await rm(index, { force: true });
  }
};

/**
 * Compares a folder with the tree that people have approved.
 * @param of a commit or a tree. @throws {StepFailed} (work, `moved`)
 */
const requireApprovedTree = async (
  git: Git,
  { repository, branch, approved }: Committing,
  path: string,
  of: string,
): Promise<void> => {
  if (approved === undefined) return;
  const { folder, tree } = approved;
  const found = (await git.entry(path, of, folder))?.object;
  if (found === tree) return;
  // The approved tree is here only if this builder made it in preflight.
  const diff = ['diff-tree', '-r', '--name-only', tree, found ?? tree];
  const { stdout } = await git.run(path, diff, { quiet: true }).catch(() => ({ stdout: '' }));
  const files = stdout.split('\n').filter(Boolean).join(', ');
  throw new StepFailed(
    'work',
    `${folder} of "${repository}" would be the tree ${found ?? '(none)'}${files && `, which differs in ${files}`}; people have approved ${tree}. Somebody has changed ${branch} since preflight: ka retry asks for preflight and review again`,
    { code: 'moved' },
  );
};

const write = async (
  git: Git,
  config: Pick<BuilderConfig, 'git'>,
  committing: Committing,
  head: Head,
  texts: Readonly<Record<string, string>>,
): Promise<string> => {
  const tree = await treeWith(git, head, texts);
  await requireApprovedTree(git, committing, head.path, tree);
  const { name, email } = config.git.author;
  const trailers = [
    `Ka-Iteration: ${committing.iteration}`,
    `Ka-Request: ${requestTrailer(committing, committing.attempt)}`,
  ];
  const { stdout } = await git.run(head.path, ['commit-tree', tree, '-p', head.commit], {
    quiet: true,
    input: `${committing.message.trimEnd()}\n\n${trailers.join('\n')}\n`,
    env: {
      GIT_AUTHOR_NAME: name,
      GIT_AUTHOR_EMAIL: email,
      GIT_COMMITTER_NAME: name,
      GIT_COMMITTER_EMAIL: email,
    },
  });
  return stdout.trim();
};

/**
 * Makes one commit on a branch, without a worktree, and pushes it; never by force. What somebody else pushes in between
 * stays: the commit is made again on top of it. If a commit of this attempt is already there, it is not made again, so
 * this may be cut anywhere and called again.
 * @returns the commit as the remote has it.
 * @throws {StepFailed} as {@link findCommit} and {@link Git.push} do; and whatever `edited.at` throws.
 */
export const commitFiles = async (
  git: Git,
  config: Pick<BuilderConfig, 'git'>,
  committing: Committing,
): Promise<SeenCommit> => {
  for (let tried = 0; tried <= pushes; tried++) {
    const head = await headOf(git, committing);
    // It was pushed just now, or by a git that outlived a killed agent.
    const found = await findAt(git, committing, head);
    if (found) return found;
    if (tried === pushes) break;
    const before = await standing(git, committing, head);
    if (before !== undefined) return see(git, committing, head.path, before);
    const texts = { ...committing.texts, ...(await committing.edited?.at(head)) };
    const commit = await write(git, config, committing, head, texts);
    await git.push(committing.repository, commit, committing.branch);
  }
  const { repository, branch } = committing;
  throw new Error(`${branch} of "${repository}" moved ${pushes} times while a commit was made for it`);
};

/**
 * Computes the edits of a commit without making it, so that a refusal comes before anything is pushed. For a commit
 * that is there already nothing is computed.
 * @throws {StepFailed} as {@link commitFiles} does.
 */
export const rehearseCommit = async (git: Git, committing: Committing): Promise<void> => {
  const head = await headOf(git, committing);
  const there = (await findAt(git, committing, head)) ?? (await standing(git, committing, head));
  if (there !== undefined) return;
  const texts = { ...committing.texts, ...(await committing.edited?.at(head)) };
  if (committing.approved)
    await requireApprovedTree(git, committing, head.path, await treeWith(git, head, texts));
};
