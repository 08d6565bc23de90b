import { createHash } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { orNoRoom } from '../../../host/disk-room.ts';
import { isThere } from '../../../host/is-there.ts';
import type { Ran, Run, RunOptions } from '../../../host/run.ts';
import type { BuilderConfig } from '../../../schemas/config.ts';
import { StepFailed } from '../../runtime/errors.ts';
import { findRemote, refusal, remoteEnvironment } from './git-remote.ts';

/** What a tree holds at a path: `object` is a blob's or a tree's id. */
export interface TreeEntry {
  mode: string;
  object: string;
  path: string;
}

/**
 * Git, as this host uses it. A `repository` is the path of a bare one, except in {@link Git.mirror} and {@link
 * Git.push}.
 */
export interface Git {
  /** Runs git on a repository, or on none. No option among `args` comes from a request. */
  run(repository: string | undefined, args: readonly string[], options?: RunOptions): Promise<Ran>;
  /**
   * Updates this host's copy of a repository that the config names, or makes it, and returns its path.
   * @throws {StepFailed} (host) if the config does not name it, or it refuses this host. After any other error another
   * try may help.
   */
  mirror(name: string): Promise<string>;
  /**
   * Pushes a commit of the mirror, never by force.
   * @returns false if somebody else was faster: fetch, look, and try again.
   * @throws {StepFailed} (host) if the repository refuses the push for another reason.
   */
  push(name: string, commit: string, branch: string): Promise<boolean>;
  /** The commit that a full ref (`refs/tags/v7.0`) leads to. */
  resolve(repository: string, ref: string): Promise<string | undefined>;
  /** When a commit was made, in seconds. */
  committedAt(repository: string, commit: string): Promise<number>;
  /** The short names of the refs below a prefix (`refs/tags/`), the newest first. */
  names(repository: string, prefix: string): Promise<string[]>;
  /** What a commit holds at a path, if anything. */
  entry(repository: string, commit: string, path: string): Promise<TreeEntry | undefined>;
  /**
   * The text of a file at a commit, or undefined if no file is there.
   * @throws {StepFailed} (work) if its bytes are not UTF-8.
   */
  text(repository: string, commit: string, path: string): Promise<string | undefined>;
  /** Writes what a commit holds below a path into `folder`, which is emptied first. */
  exportFolder(repository: string, commit: string, path: string, folder: string): Promise<void>;
}

const cloneTimeoutMs = 6 * 60 * 60_000;
const fetchTimeoutMs = 60 * 60_000;

const everything = ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*'];

/**
 * `core.fsync=all` keeps a mirror whole over a power cut. Without `gc.autoDetach`, garbage collection counts towards
 * the time limit of the command that starts it.
 */
const settings = ['core.hooksPath=/dev/null', 'core.fsync=all', 'gc.autoDetach=false', 'credential.helper='];

/** The id that git gives to a file's bytes. */
export const blobId = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex');

type RunGit = (
  repository: string | undefined,
  args: readonly string[],
  options?: RunOptions,
  under?: readonly string[],
) => Promise<Ran>;
type GitConfig = Pick<BuilderConfig, 'repositories' | 'git' | 'stateFolder'>;

/** Git with its own environment, no prompt, and no transport. @param folder the folder whose disk it may fill. */
const createRunGit =
  (run: Run, { stateFolder }: GitConfig, folder: string): RunGit =>
  (repository, args, options = {}, under = []) => {
    const before = settings.flatMap((setting) => ['-c', setting]);
    if (repository !== undefined) before.push(`--git-dir=${repository}`);
    const env = {
      HOME: stateFolder,
      LC_ALL: 'C',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_ATTR_NOSYSTEM: '1',
      GIT_NO_REPLACE_OBJECTS: '1',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ALLOW_PROTOCOL: '',
      ...options.env,
    };
    return orNoRoom(folder, () => run([...under, 'git', ...before, ...args], { ...options, env }));
  };

/**
 * The program that writes a mirror's refs holds this lock itself, and the kernel releases it however the program ends.
 * So a git that outlived its killed agent is waited for.
 */
const alone = (mirror: string) => ['flock', '--no-fork', `${mirror}.alone`];

/** This host's copies of the repositories that its config names. Only these functions talk to a remote. */
const createMirrors = (
  run: Run,
  config: GitConfig,
  folder: string,
  runGit: RunGit,
): Pick<Git, 'mirror' | 'push'> => {
  const mirrorPath = (name: string) => join(folder, `${name}.git`);

  /** A killed git leaves its locks, and every later git refuses to touch the ref. No other git runs now. */
  const removeLocks = (mirror: string) =>
    run([...alone(mirror), 'find', mirror, '-type', 'f', '-name', '*.lock', '-delete'], {
      quiet: true,
      timeoutMs: fetchTimeoutMs,
    });

  const talk = async (
    name: string,
    repository: string | undefined,
    args: (url: string) => readonly string[],
    options: RunOptions & { alone?: boolean },
  ): Promise<Ran> => {
    const remote = findRemote(config, name);
    const env = await remoteEnvironment(config, remote);
    const before = options.alone ? alone(mirrorPath(name)) : [];
    try {
      return await runGit(repository, args(remote.url), { ...options, env }, before);
    } catch (error) {
      const said = refusal(error);
      if (said === undefined) throw error;
      throw new StepFailed('host', `the repository "${name}" (${remote.url}) refuses this host: ${said}`, {
        cause: error,
      });
    }
  };

  const mirror: Git['mirror'] = async (name) => {
    findRemote(config, name);
    const path = mirrorPath(name);
    await mkdir(folder, { recursive: true });
    if (await isThere(path)) {
      await removeLocks(path);
      const fetch = (url: string) => ['fetch', '--prune', '--no-write-fetch-head', '--', url, ...everything];
      await talk(name, path, fetch, { alone: true, timeoutMs: fetchTimeoutMs });
      return path;
    }
    // A clone that was cut leaves only the .part, and the next clone starts over.
    const part = `${path}.part`;
    await rm(part, { recursive: true, force: true });
    await talk(name, undefined, (url) => ['clone', '--bare', '--', url, part], {
      alone: true,
      timeoutMs: cloneTimeoutMs,
    });
    await rename(part, path);
    return path;
  };

  const push: Git['push'] = async (name, commit, branch) => {
    const args = (url: string) => ['push', '--porcelain', '--', url, `${commit}:refs/heads/${branch}`];
    const pushed = await talk(name, mirrorPath(name), args, {
      exitCodes: [0, 1],
      timeoutMs: fetchTimeoutMs,
    });
    if (pushed.exitCode === 0) return true;
    const why = /^!\t\S+\t(.*)$/m.exec(pushed.stdout)?.[1] ?? pushed.stderr.trim();
    if (/fetch first|non-fast-forward|stale info|lock|failed to update ref|old value/.test(why)) return false;
    throw new StepFailed('host', `the repository "${name}" does not accept ${commit} on ${branch}: ${why}`);
  };

  return { mirror, push };
};

const exportFolder = async (
  runGit: RunGit,
  repository: string,
  commit: string,
  path: string,
  to: string,
): Promise<void> => {
  const index = `${to}.index`;
  await rm(to, { recursive: true, force: true });
  await rm(index, { force: true });
  await mkdir(to, { recursive: true });
  const options = { quiet: true, env: { GIT_INDEX_FILE: index } };
  await runGit(repository, ['read-tree', `${commit}:${path}`], options);
  const checkout = ['-c', 'core.bare=false', `--work-tree=${to}`, 'checkout-index', '-a', '-f'];
  await runGit(repository, checkout, options);
  await rm(index, { force: true });
};

/** The one place that runs git: with its own environment, no prompt, and a transport only for talking to a remote. */
export const createGit = (run: Run, config: GitConfig): Git => {
  const folder = join(config.stateFolder, 'git');
  const runGit = createRunGit(run, config, folder);

  const { mirror, push } = createMirrors(run, config, folder, runGit);

  const entry: Git['entry'] = async (repository, commit, path) => {
    const { stdout } = await runGit(repository, ['ls-tree', '-z', '--full-tree', commit, '--', path], {
      quiet: true,
    });
    const found = /^(\d+) \w+ ([0-9a-f]+)\t([^\0]*)\0/.exec(stdout);
    return found ? { mode: found[1] ?? '', object: found[2] ?? '', path: found[3] ?? '' } : undefined;
  };

  return {
    run: runGit,
    mirror,
    push,
    resolve: async (repository, ref) => {
      const args = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`];
      const { exitCode, stdout } = await runGit(repository, args, { quiet: true, exitCodes: [0, 1] });
      // Git 2.39 prints --end-of-options as well.
      return exitCode === 0 ? stdout.trim().split('\n').at(-1) : undefined;
    },
    committedAt: async (repository, commit) => {
      const show = ['show', '--no-patch', '--format=%ct', '--end-of-options', commit];
      return Number((await runGit(repository, show, { quiet: true })).stdout.trim());
    },
    names: async (repository, prefix) => {
      const args = ['for-each-ref', '--sort=-creatordate', '--format=%(refname:lstrip=2)', prefix];
      return (await runGit(repository, args, { quiet: true })).stdout.split('\n').filter(Boolean);
    },
    entry,
    text: async (repository, commit, path) => {
      const found = await entry(repository, commit, path);
      if (!found?.mode.startsWith('100')) return undefined;
      const { stdout } = await runGit(repository, ['cat-file', 'blob', found.object], { quiet: true });
      if (blobId(Buffer.from(stdout)) !== found.object)
        throw new StepFailed('work', `${path} at ${commit} is not UTF-8 text: rewrite it as such`);
      return stdout;
    },
    exportFolder: (...what) => exportFolder(runGit, ...what),
  };
};
