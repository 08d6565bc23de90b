import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { installCommand, missingPrograms, programs } from './programs.ts';

const checkout = dirname(import.meta.dirname);
const scratch = mkdtempSync(join(tmpdir(), 'ka-programs-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test('the list names each program once', () => {
  expect(new Set(programs.map(({ program }) => program)).size).toBe(programs.length);
});

test('a program in no folder of the path is missing, and the command installs each package once', () => {
  const missing = missingPrograms(['all'], scratch);
  expect(missing.map(({ program }) => program)).toContain('nats-server');
  expect(installCommand(missing, 'debian').match(/\bpacman-package-manager\b/g)).toHaveLength(1);
  expect(missing.every(({ need }) => need === 'all')).toBe(true);
});

test('a program without a package in Arch is left out of Arch’s command', () => {
  const kernel = programs.filter(({ program }) => program.includes('linux-source'));
  expect(installCommand(kernel, 'arch')).not.toContain('linux-source');
});

/** A checkout in which only `ka` and its list are real, with only the given programs in PATH. */
const fakeCheckout = (name: string, nodeVersion: string) => {
  const folder = join(scratch, name);
  mkdirSync(join(folder, 'deploy'), { recursive: true });
  mkdirSync(join(folder, 'bin'));
  cpSync(join(checkout, 'ka'), join(folder, 'ka'));
  cpSync(join(checkout, 'deploy/programs.tsv'), join(folder, 'deploy/programs.tsv'));
  writeFileSync(join(folder, 'package-lock.json'), '{}');
  const program = (file: string, text: string) => {
    writeFileSync(join(folder, 'bin', file), `#!/bin/bash\n${text}\n`);
    chmodSync(join(folder, 'bin', file), 0o755);
  };
  program(
    'node',
    `echo "$1" >>"$(dirname "$0")/../node.log"
     case $1 in -p) echo "${nodeVersion} 115" ;; */bundle.mjs) ;; *) echo "ran: \${*##*/}" ;; esac`,
  );
  program('npm', `mkdir -p "$PWD/node_modules"; echo "$1" >>"$PWD/npm.log"; echo noise`);
  return folder;
};
const ka = (folder: string, ...args: string[]) =>
  spawnSync(join(folder, 'ka'), args, {
    encoding: 'utf8',
    cwd: scratch,
    env: { PATH: `${join(folder, 'bin')}:/usr/bin:/bin` },
  });

test('ka refuses an old Node with one sentence', () => {
  const { status, stderr, stdout } = ka(fakeCheckout('old', '18.19.0'), 'help');
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toBe('ka: this is Node 18.19.0; kernel-agent needs Node 20.19 or later\n');
});

test('ka installs the Node packages once, reports it only on standard error, and works through a symlink', () => {
  const folder = fakeCheckout('new', '20.19.0');
  expect(ka(folder, 'plan', 'check', 'x.yaml').stdout).toBe('ran: launch.cjs plan check x.yaml\n');
  symlinkSync(join(folder, 'ka'), join(scratch, 'ka-link'));
  const again = spawnSync(join(scratch, 'ka-link'), ['demo', '--help'], {
    encoding: 'utf8',
    env: { PATH: `${join(folder, 'bin')}:/usr/bin:/bin` },
  });
  expect(again.stdout).toBe('ran: launch.cjs demo --help\n');
  expect(ka(folder, 'test', '--help').stdout).toMatch(/^usage: ka test /);
  expect(readFileSync(join(folder, 'npm.log'), 'utf8')).toBe('ci\n');
});

test('once everything is set up, ka starts Node once per command, and sets up again what has changed', () => {
  const folder = fakeCheckout('ready', '20.19.0');
  for (const name of ['agents', 'coordinator', 'eventlog', 'host', 'schemas']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'package.json'), '{}');
  const started = (...args: string[]) => {
    rmSync(join(folder, 'node.log'), { force: true });
    expect(ka(folder, ...args)).toMatchObject({ status: 0, stderr: '' });
    const log = readFileSync(join(folder, 'node.log'), 'utf8').trim().split('\n');
    return log.map((argument) => basename(argument));
  };
  ka(folder, 'status');
  expect(started('status')).toEqual(['launch.cjs']);
  const setUp = ['-p', 'bundle.mjs', 'launch.cjs'];
  writeFileSync(join(folder, 'schemas/new.ts'), '');
  expect(started('status')).toEqual(setUp);
  rmSync(join(folder, 'schemas/new.ts'));
  expect(started('status')).toEqual(setUp);
  writeFileSync(join(folder, 'node_modules/.ka-stamp'), readFileSync(join(folder, 'node_modules/.ka-stamp')));
  expect(started('status')).toEqual(setUp);
  expect(started('status')).toEqual(['launch.cjs']);
  writeFileSync(join(folder, 'package-lock.json'), '{"name":"other"}');
  utimesSync(join(folder, 'package-lock.json'), 0, 0); // as `cp -p` leaves it
  expect(ka(folder, 'status').stderr).toMatch(/installing the Node packages/);
  expect(started('status')).toEqual(['launch.cjs']);
});

test('if it is not root, ka prints the command that installs what a fleet needs, and stops', () => {
  const folder = fakeCheckout('user', '20.19.0');
  writeFileSync(
    join(folder, 'deploy/programs.tsv'),
    'no-such-program\tno-such-package\tno-such-package\tall\n',
  );
  for (const path of [scratch, folder, join(folder, 'deploy')]) chmodSync(path, 0o755);
  const user =
    process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
  const [program = '', ...args] = [...user, join(folder, 'ka'), 'demo'];
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { PATH: `${join(folder, 'bin')}:/usr/bin:/bin` },
  });
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/missing here: no-such-program/);
  expect(stderr).toMatch(/no-such-package|neither Debian nor Arch/);
});
