import { constants, existsSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ProgramFailed } from '../../../host/errors.ts';
import type { Ran, RunOptions } from '../../../host/run.ts';
import { StepFailed } from '../../runtime/errors.ts';
import { blobId, type Git } from '../git/git.ts';

/** Runs a program as the user that builds, within the worktree. */
export type AsUser = (
  argv: readonly string[],
  options?: Pick<RunOptions, 'input' | 'env' | 'exitCodes'>,
) => Promise<Ran>;

/** Anything but a folder that is below one. `link` is where a link leads to. */
export interface FoundFile {
  path: string;
  kind: 'file' | 'link' | 'other';
  isExecutable: boolean;
  link: string;
}

/** Everything below a folder but folders, in the order of the paths. */
export const filesIn = async (asUser: AsUser, root: string): Promise<FoundFile[]> => {
  const print = ['-printf', '%y %m %P\\0%l\\0'];
  const { stdout } = await asUser(['find', root, '-mindepth', '1', '!', '-type', 'd', ...print]);
  const fields = stdout.split('\0');
  const found: FoundFile[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const [, type, mode = '', path = ''] = /^(\S) (\d+) (.+)$/s.exec(fields[at] ?? '') ?? [];
    const kind = type === 'f' ? 'file' : type === 'l' ? 'link' : 'other';
    found.push({
      path,
      kind,
      isExecutable: (Number.parseInt(mode, 8) & 0o100) !== 0,
      link: fields[at + 1] ?? '',
    });
  }
  return found.sort((one, other) => (one.path < other.path ? -1 : 1));
};

/**
 * What of a prepared source is not part of its tree: the repository that it was checked out of, and what kbuild makes
 * (again) while it configures. `:elf` are programs and objects alone. Nothing of it goes on into a build, but the
 * `.config`s, whose hashes are approved beside the tree. A pattern stands for a path's end, at any depth.
 */
export const notOfTheTree = [
  '.git',
  '.git/**',
  '.config',
  '.config.old',
  'include/config/**',
  'include/generated/**',
  '*.o',
  '*.a',
  '*.ko',
  '*.cmd',
  '.*.d',
  '.tmp_*/**',
  'scripts/kconfig/*.lex.c',
  'scripts/kconfig/*.tab.c',
  'scripts/kconfig/*.tab.h',
  'scripts/**:elf',
  'tools/**:elf',
] as const;

/** The pattern as an expression: `**` is any path, `*` any part of a name. */
const expressionOf = (pattern: string): RegExp => {
  const parts = pattern.split(/(\*\*|\*)/).map((part) => {
    if (part === '**') return '.+';
    if (part === '*') return '[^/]*';
    return part.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`(^|/)${parts.join('')}$`, 's');
};
const [elfRules, pathRules] = [
  notOfTheTree
    .filter((rule) => rule.endsWith(':elf'))
    .map((rule) => expressionOf(rule.slice(0, -':elf'.length))),
  notOfTheTree.filter((rule) => !rule.endsWith(':elf')).map(expressionOf),
];

const isElf = async (file: string): Promise<boolean> => {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => undefined);
  if (!handle) return false;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    return bytesRead === 4 && buffer.toString('latin1') === '\x7fELF';
  } finally {
    await handle.close();
  }
};

const isOfTheTree = async (root: string, { path, kind, isExecutable }: FoundFile): Promise<boolean> => {
  if (pathRules.some((rule) => rule.test(path))) return false;
  if (kind !== 'file' || !isExecutable || !elfRules.some((rule) => rule.test(path))) return true;
  return !(await isElf(join(root, path)));
};

/** Git's ids of files' contents, as they are: neither attributes nor line ends change them. */
const blobsOf = async (asUser: AsUser, paths: readonly string[]): Promise<string[]> => {
  if (paths.length === 0) return [];
  // From outside: git would take what prepare() has left for its own repository.
  const hash = ['git', '-C', '/', 'hash-object', '--no-filters', '--stdin-paths'];
  const env = { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' };
  const { stdout } = await asUser(hash, {
    input: paths.map((path) => `${path}\n`).join(''),
    env,
  });
  return stdout.split('\n').filter(Boolean);
};

/** A prepared source, as git would store it. */
export interface SourceTree {
  tree: string;
  /** The tree that holds the `.config`s alone. */
  config: string;
  /** The paths in the tree, and those of the `.config`s. */
  paths: string[];
  configs: string[];
}

/** The id of the tree of these entries, made in a repository that need not hold their blobs. */
const writeTree = async (git: Git, repository: string, lines: readonly string[]): Promise<string> => {
  const index = join(repository, 'prepared.index');
  for (const left of [index, `${index}.lock`]) await rm(left, { force: true });
  const options = { quiet: true, env: { GIT_INDEX_FILE: index } };
  // It is made again whenever it is needed.
  const unsynced = ['-c', 'core.fsync=none'];
  await git.run(repository, ['read-tree', '--empty'], options);
  const input = lines.map((line) => `${line}\0`).join('');
  const update = [...unsynced, 'update-index', '-z', '--index-info'];
  await git.run(repository, update, { ...options, input }).catch((cause: unknown) => {
    if (!(cause instanceof ProgramFailed) || cause.exitCode !== 128) throw cause;
    const why = cause.stderr.trim().split('\n').at(-1);
    throw new StepFailed('work', `git can't hold what prepare() left: ${why}`, { cause });
  });
  return (await git.run(repository, [...unsynced, 'write-tree', '--missing-ok'], options)).stdout.trim();
};

/** What reads prepared sources. */
export interface SourceReader {
  asUser: AsUser;
  git: Git;
  /** A bare repository of the step's own, for the trees. */
  repository: string;
  /** Where a link leads to, spelled as it is on every builder. */
  spelled: (link: string) => string;
  /** The file to which a link leads that stands for a source; undefined for other links. */
  sourceBehind: (link: string) => string | undefined;
}

/** Whether a name holds what lists of names can't carry safely. U+FFFD stands for bytes that are not UTF-8. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
export const isOddName = (name: string): boolean => /[\u0000-\u001f\u007f\ufffd]/.test(name);

/**
 * The tree of these files below a folder. A source that is no archive stands in `$srcdir` as a link: it is in the tree by
 * its content, whatever sums the PKGBUILD has for it.
 * @throws {StepFailed} (work) if there is something that no tree can hold.
 */
const treeOf = async (
  { asUser, git, repository, spelled, sourceBehind }: SourceReader,
  root: string,
  files: readonly FoundFile[],
): Promise<string> => {
  const odd = files.find(({ kind, path, link }) => kind === 'other' || isOddName(path) || isOddName(link));
  if (odd)
    throw new StepFailed(
      'work',
      `the sources hold ${JSON.stringify(odd.path)}; expected plain files and links, with names in UTF-8 and without control characters`,
    );
  const contentOf = ({ kind, path, link }: FoundFile): string[] => {
    if (kind === 'file') return [join(root, path)];
    const source = sourceBehind(link);
    return source !== undefined && existsSync(source) && !isOddName(source) ? [source] : [];
  };
  const plain = files.flatMap(contentOf);
  const ids = await blobsOf(asUser, plain);
  if (ids.length !== plain.length) throw new Error(`git hashed ${ids.length} of ${plain.length} files`);
  const idOf = new Map(plain.map((path, index) => [path, ids[index] ?? '']));
  const lines = files.map((file) => {
    const { path, kind, isExecutable, link } = file;
    const [content] = contentOf(file);
    if (content === undefined) return `120000 ${blobId(Buffer.from(spelled(link)))}\t${path}`;
    return `${kind === 'file' && isExecutable ? '100755' : '100644'} ${idOf.get(content)}\t${path}`;
  });
  return writeTree(git, repository, lines);
};

const isConfig = ({ path, kind }: FoundFile): boolean => kind === 'file' && /(^|\/)\.config$/.test(path);

/**
 * Reads what `prepare()` has left in a folder: every file but those of {@link notOfTheTree}.
 * @throws {StepFailed} (work) if there is something that no tree can hold.
 */
export const sourceTreeOf = async (reader: SourceReader, root: string): Promise<SourceTree> => {
  const found = await filesIn(reader.asUser, root);
  const configs = found.filter(isConfig);
  const files: FoundFile[] = [];
  for (const file of found) if (!isConfig(file) && (await isOfTheTree(root, file))) files.push(file);
  return {
    tree: await treeOf(reader, root, files),
    config: await treeOf(reader, root, configs),
    paths: files.map(({ path }) => path),
    configs: configs.map(({ path }) => path),
  };
};

/** The files of a tree that are other ones, or missing, below another folder now. */
export const changedFiles = async (
  reader: SourceReader,
  root: string,
  before: SourceTree,
): Promise<string[]> => {
  const paths = new Set(before.paths);
  const files = (await filesIn(reader.asUser, root)).filter(({ path }) => paths.has(path));
  const tree = await treeOf(reader, root, files);
  if (tree === before.tree) return [];
  const diff = ['diff-tree', '-r', '--name-only', before.tree, tree];
  return (await reader.git.run(reader.repository, diff, { quiet: true })).stdout.split('\n').filter(Boolean);
};
