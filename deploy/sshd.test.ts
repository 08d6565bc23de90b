import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateSshKey, type Sshd, startSshd } from './sshd.ts';

const folder = mkdtempSync(join(tmpdir(), 'sshd-'));
const identity = join(folder, 'id');
let sshd: Sshd;

beforeAll(async () => {
  sshd = await startSshd({ folder: join(folder, 'sshd'), authorizedKeys: [await generateSshKey(identity)] });
  writeFileSync(join(folder, 'known_hosts'), `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`);
});
afterAll(async () => {
  await sshd.stop();
  rmSync(folder, { recursive: true });
});

const ssh = () =>
  `ssh -F none -i ${identity} -o BatchMode=yes -o IdentitiesOnly=yes -o UserKnownHostsFile=${join(folder, 'known_hosts')}`;

test('a key is made once and has no comment', async () => {
  const again = await generateSshKey(identity);
  expect(again).toMatch(/^ssh-ed25519 [A-Za-z0-9+/=]+$/);
  expect(await generateSshKey(identity)).toBe(again);
  expect(statSync(identity).mode & 0o077).toBe(0);
});

test('git clones through it, with its host key pinned', () => {
  const git = (...args: string[]) =>
    execFileSync('git', args, {
      env: { ...process.env, GIT_SSH_COMMAND: ssh() },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  git('init', '-q', join(folder, 'source'));
  git(
    '-C',
    join(folder, 'source'),
    '-c',
    'user.name=a',
    '-c',
    'user.email=a@b',
    'commit',
    '-q',
    '--allow-empty',
    '-m',
    'first',
  );
  const url = `ssh://${userInfo().username}@127.0.0.1:${sshd.port}${join(folder, 'source')}`;
  git('clone', '-q', url, join(folder, 'clone'));
  expect(git('-C', join(folder, 'clone'), 'log', '--format=%s').toString().trim()).toBe('first');
});

const runThere = (command: string, key = identity) => {
  const options = ssh().replace(identity, key).split(' ').slice(1);
  const to = ['-p', String(sshd.port), `${userInfo().username}@127.0.0.1`];
  return execFileSync('ssh', [...options, ...to, command], { encoding: 'utf8', stdio: 'pipe' });
};

test('a command finds the programs that this process finds, and an empty home without shell files', () => {
  expect(runThere('echo "$PATH"; ls -A "$HOME"').split('\n')).toEqual([
    process.env.PATH,
    ...['authorized_keys', 'host_key', 'host_key.pub', 'sshd.log', 'sshd.pid', 'sshd_config', ''],
  ]);
});

test('another key is refused', async () => {
  const other = join(folder, 'other');
  await generateSshKey(other);
  expect(() => runThere('true', other)).toThrow(/Permission denied/);
});

test('it keeps its host key over a restart, and stopping it ends its connections', async () => {
  const second = await startSshd({ folder: join(folder, 'second'), authorizedKeys: [] });
  const socket = connect(second.port, '127.0.0.1');
  const closed = new Promise((resolve) => socket.once('close', resolve).once('error', () => undefined));
  await new Promise((resolve) => socket.once('data', resolve));
  await second.stop();
  await closed;
  const third = await startSshd({ folder: join(folder, 'second'), authorizedKeys: [], port: second.port });
  expect(third.hostKey).toBe(second.hostKey);
  await third.stop();
});

test('a port that is taken is reported in one sentence with the log', async () => {
  const taken = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as { port: number };
  await expect(startSshd({ folder: join(folder, 'taken'), authorizedKeys: [], port })).rejects.toThrow(
    /does not answer .*Address already in use/,
  );
  taken.close();
});
