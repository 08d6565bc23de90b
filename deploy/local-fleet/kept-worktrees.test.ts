import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { exampleIteration5 } from '../examples/example-iteration-5.ts';
import { holdWorktrees, keptWorktrees } from './kept-worktrees.ts';

let cacheFolder: string;
const keep = (key: string) =>
  keptWorktrees({ ...exampleIteration5, name: 'linux', worktreesKey: async () => key }, { cacheFolder });

beforeEach(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), 'ka-kept-'));
});
afterEach(() => rm(cacheFolder, { recursive: true }));

it('an example that builds fast has its worktrees in its own sandbox', async () => {
  expect(await keptWorktrees(exampleIteration5, { cacheFolder })).toBeUndefined();
  expect(await holdWorktrees(undefined)).toBeUndefined();
});

it('the same key gives the same folder, open to the build user, and its content stays', async () => {
  const folder = await keep('one');
  expect(folder).toBe(join(cacheFolder, 'worktrees-linux-one'));
  await mkdir(join(folder ?? '', 'boltzmann'));
  expect(await keep('one')).toBe(folder);
  expect(existsSync(join(folder ?? '', 'boltzmann'))).toBe(true);
  expect((await stat(cacheFolder)).mode & 0o777).toBe(0o755);
});

it('only one fleet builds in them at a time', async () => {
  const folder = await keep('one');
  const first = await holdWorktrees(folder);
  expect(first?.folder).toBe(folder);
  expect(await holdWorktrees(folder)).toBeUndefined();
  await first?.letGo();
  const second = await holdWorktrees(folder);
  expect(second?.folder).toBe(folder);
  await second?.letGo();
});

it('worktrees of another tree are removed, but not while a fleet builds in them', async () => {
  const old = await keep('old');
  const held = await holdWorktrees(old);
  await keep('new');
  expect(existsSync(old ?? '')).toBe(true);
  await held?.letGo();
  await keep('new');
  expect(existsSync(old ?? '')).toBe(false);
});
