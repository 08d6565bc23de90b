import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { checkout } from './checkout.ts';

mkdirSync(join(checkout, '.ka'), { recursive: true });
// Inside the checkout, so that the bundle finds the checkout and its packages.
const scratch = mkdtempSync(join(checkout, '.ka/launch-'));
const dist = join(scratch, 'dist');
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const node = (...args: string[]) => spawnSync(process.execPath, args, { encoding: 'utf8' });
const launch = (madeFor: string, ...args: string[]) => {
  writeFileSync(join(dist, 'stamp'), madeFor);
  return node(join(dist, 'deploy/launch.cjs'), ...args);
};

beforeAll(() => {
  const { status, stderr } = node(join(checkout, 'deploy/bundle.mjs'), dist);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

test('the bundled command line knows its version', () => {
  const { status, stdout, stderr } = launch(process.version, '--version');
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `${packageJson.version}\n`, stderr: '' });
});

test('V8 accepts the code that was compiled when it was bundled', () => {
  const look = `const { readFileSync } = require('node:fs');
    const [source, cachedData] = [readFileSync(process.argv[1] + '.cjs', 'utf8'), readFileSync(process.argv[1] + '.cache')];
    console.log(new (require('node:vm').Script)(source, { cachedData }).cachedDataRejected);`;
  expect(node('-e', look, join(dist, 'deploy/cli')).stdout).toBe('false\n');
});

test('with another Node than it was set up for, it lets ka set up and run the command', () => {
  writeFileSync(join(scratch, 'ka'), '#!/bin/sh\necho "$KA_SET_UP $*"; exit 3\n');
  chmodSync(join(scratch, 'ka'), 0o755);
  const { status, stdout } = launch('v20.0.0', 'status', '--json');
  expect({ status, stdout }).toEqual({ status: 3, stdout: '1 status --json\n' });
  expect(readFileSync(join(dist, 'stamp'), 'utf8')).toBe('v20.0.0');
});

describe('completion', () => {
  const ka = (...words: string[]) => launch(process.version, ...words).stdout;
  const completed = (...words: string[]) =>
    ka('complete', '--', ...words)
      .split('\n')
      .flatMap((line) => (line.includes('\t') ? [line.split('\t', 1)[0]] : []));

  test('completes commands, steps, options and files', () => {
    expect(completed('re')).toEqual(['review', 'reject', 'retry', 'report', 'replay', 'retire']);
    expect(completed('output', 'iter5', 'pre')).toEqual(['preflight', 'presweep']);
    expect(completed('export', 'iter5', '--f')).toEqual(['--force']);
    expect(completed('iterate', `${checkout}/examples/iteration-5/pl`)).toEqual([
      `${checkout}/examples/iteration-5/plan.yaml`,
    ]);
    expect(completed('export', 'iter5', '--out', `${checkout}/docs/tr`)).toEqual([
      `${checkout}/docs/trust.md`,
    ]);
  });

  test.each(['bash', 'zsh', 'fish'])('the script of %s asks this ka', (shell) => {
    expect(ka('completion', shell)).toContain(`${join(checkout, 'ka')} complete -- `);
  });
});
