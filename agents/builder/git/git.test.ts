import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { generateSshKey, startSshd } from '../../../deploy/sshd.ts';
import { createRun } from '../../../host/run.ts';
import type { BuilderConfig } from '../../../schemas/config.ts';
import { StepFailed } from '../../runtime/errors.ts';
import { gitIn, makeFleet, pushFiles, type TestFleet } from '../testdata/repositories.ts';
import { commitFiles, findCommit } from './commit-files.ts';
import { createGit } from './git.ts';

const run = createRun(() => undefined);
let fleet: TestFleet;
beforeEach(async () => {
  fleet = await makeFleet();
});
afterEach(() => fleet.remove());

const gitOf = (changes: Partial<BuilderConfig> = {}) => createGit(run, { ...fleet.host, ...changes });

const committing = (text: string, attempt = 1) => ({
  repository: 'packages',
  branch: 'main',
  message: 'campaign: note',
  iteration: 'iter5',
  step: 'record',
  attempt,
  part: 'campaign',
  texts: { 'notes/note.md': text },
});

describe('git', () => {
  it('clones a repository that the config names, and fetches what came, moved and went', async () => {
    const git = gitOf();
    const path = await git.mirror('linux');
    await gitIn(fleet.paths.linux, 'branch', 'gone');
    const commit = await pushFiles(fleet.paths.linux, { 'new.txt': 'x' });
    await gitIn(fleet.paths.linux, 'tag', '-f', 'v7.0', commit);
    expect(await git.mirror('linux')).toBe(path);
    expect(await git.resolve(path, 'refs/tags/v7.0')).toBe(commit);
    expect(await git.resolve(path, 'refs/heads/gone')).toBeDefined();
    await gitIn(fleet.paths.linux, 'branch', '-D', 'gone');
    await git.mirror('linux');
    expect(await git.resolve(path, 'refs/heads/gone')).toBeUndefined();
  });

  it('starts over after a clone that was cut, and removes the locks of a killed git', async () => {
    const git = gitOf();
    const part = join(fleet.host.stateFolder, 'git/linux.git.part');
    await mkdir(part, { recursive: true });
    await writeFile(join(part, 'HEAD'), 'half');
    const path = await git.mirror('linux');
    const lock = join(path, 'refs/heads/main.lock');
    await writeFile(lock, '');
    await pushFiles(fleet.paths.linux, { 'new.txt': 'x' });
    // The lock's age does not matter: another git holds it as long as it runs, and no longer.
    await utimes(lock, new Date(0), new Date(0));
    const other = spawn('flock', ['--no-fork', `${path}.alone`, 'sleep', '60']);
    const ended = once(other, 'exit');
    onTestFinished(async () => {
      other.kill('SIGKILL');
      await ended;
    });
    await once(other, 'spawn');
    await setTimeout(200);
    const mirrored = git.mirror('linux');
    await setTimeout(500);
    expect(existsSync(lock)).toBe(true);
    other.kill('SIGKILL');
    await mirrored;
    expect(existsSync(lock)).toBe(false);
  });

  it('tells an unknown repository and other transports from one that is away', async () => {
    await expect(gitOf().mirror('nobody')).rejects.toThrow(
      'this host knows no repository "nobody"; its config names linux, kernel-agent, packages',
    );
    const git = gitOf({ repositories: { ext: 'ext::sh -c true', away: `file://${fleet.folder}/away.git` } });
    await expect(git.mirror('ext')).rejects.toThrow('use file, ssh or https');
    await expect(git.mirror('away')).rejects.toThrow(StepFailed);
    const offline = gitOf({ repositories: { away: 'https://127.0.0.1:1/x.git' } });
    const error = await offline.mirror('away').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(StepFailed);
  });

  it('reads text and refuses other bytes, and writes out a folder', async () => {
    const git = gitOf();
    const path = await git.mirror('packages');
    const head = (await git.resolve(path, 'refs/heads/main')) ?? '';
    expect(await git.text(path, head, 'arch/linux-fresnel/config')).toBe('CONFIG_LOCALVERSION="-fresnel"\n');
    expect(await git.text(path, head, 'arch')).toBeUndefined();
    const out = join(fleet.folder, 'out');
    await git.exportFolder(path, head, 'arch/linux-fresnel', out);
    expect(await readFile(join(out, '0001-old.patch'), 'utf8')).toContain('+int old;\n');
    const blob = (
      await git.run(path, ['hash-object', '-w', '--stdin'], { input: Buffer.from([0xff, 0xfe]) })
    ).stdout.trim();
    const tree = (await git.run(path, ['mktree'], { input: `100644 blob ${blob}\tx\n` })).stdout.trim();
    await expect(git.text(path, tree, 'x')).rejects.toThrow('not UTF-8');
  });

  it('uses SSH with its own key to a pinned host, and to no other', async () => {
    const folder = join(fleet.folder, 'with a space');
    await mkdir(folder);
    const identity = join(folder, 'key');
    const sshd = await startSshd({
      folder: join(fleet.folder, 'sshd'),
      authorizedKeys: [await generateSshKey(identity)],
    });
    try {
      const knownHosts = join(folder, 'known_hosts');
      await writeFile(knownHosts, `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`);
      const url = `ssh://${userInfo().username}@127.0.0.1:${sshd.port}${fleet.paths.packages}`;
      const config = {
        ...fleet.host,
        stateFolder: join(folder, "it's state"),
        repositories: { packages: url },
        git: { ...fleet.host.git, ssh: { identity, knownHosts } },
      };
      const git = createGit(run, config);
      const commit = await commitFiles(git, config, committing('one\n'));
      expect(await gitIn(fleet.paths.packages, 'rev-parse', 'main')).toBe(commit.commit);

      const other = await generateSshKey(join(folder, 'other'));
      await writeFile(knownHosts, `[127.0.0.1]:${sshd.port} ${other}\n`);
      await expect(git.mirror('packages')).rejects.toThrow('refuses this host: Host key verification failed');
      await writeFile(knownHosts, `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`);
      const stranger = { identity: join(folder, 'other'), knownHosts };
      const refused = createGit(run, { ...config, git: { ...config.git, ssh: stranger } });
      await expect(refused.mirror('packages')).rejects.toThrow(/refuses this host: .*Permission denied/);
    } finally {
      await sshd.stop();
    }
  });
});

describe('commitFiles', () => {
  it('makes a commit once for each attempt, and finds it by its trailer', async () => {
    const git = gitOf();
    expect(await findCommit(git, committing('one\n'))).toBeUndefined();
    const first = await commitFiles(git, fleet.host, committing('one\n'));
    await pushFiles(fleet.paths.packages, { other: 'x' });
    expect(await commitFiles(git, fleet.host, committing('one\n'))).toEqual(first);
    expect(await findCommit(git, committing('one\n'))).toEqual(first);
  });

  it('takes over what an earlier attempt wrote, as long as it is unchanged', async () => {
    const git = gitOf();
    const first = await commitFiles(git, fleet.host, committing('one\n'));
    expect(await commitFiles(git, fleet.host, committing('one\n', 2))).toEqual(first);
    const second = await commitFiles(git, fleet.host, committing('two\n', 3));
    expect(second.parent).toBe(first.commit);
    await pushFiles(fleet.paths.packages, { 'notes/note.md': 'theirs\n' });
    expect((await commitFiles(git, fleet.host, committing('two\n', 4))).commit).not.toBe(second.commit);
  });

  it('lets two builders push at the same time, one commit after the other', async () => {
    const other = gitOf({ stateFolder: join(fleet.folder, 'state2') });
    const commits = await Promise.all([
      commitFiles(gitOf(), fleet.host, committing('one\n')),
      commitFiles(other, fleet.host, {
        ...committing('x\n'),
        iteration: 'iter6',
        texts: { 'notes/6.md': 'x\n' },
      }),
    ]);
    expect(await gitIn(fleet.paths.packages, 'rev-list', '--count', 'main')).toBe('3');
    const [first, second] = commits;
    expect(first.parent === second.commit || second.parent === first.commit).toBe(true);
    expect(await gitIn(fleet.paths.packages, 'show', 'main:notes/note.md', 'main:notes/6.md')).toBe('one\nx');
  });

  it('names the existing branches, and does not retry what a hook refuses', async () => {
    const git = gitOf();
    await expect(commitFiles(git, fleet.host, { ...committing('x'), branch: 'none' })).rejects.toThrow(
      'the repository "packages" has no branch none; it has main',
    );
    const hook = join(fleet.paths.packages, 'hooks/pre-receive');
    await mkdir(dirname(hook));
    await writeFile(hook, '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    await expect(commitFiles(git, fleet.host, committing('x'))).rejects.toThrow('pre-receive hook declined');
  });
});
