import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { deciderOf, rootsFolder } from './roots-folder.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-roots-'));
  mkdirSync(join(folder, 'own/deep'), { recursive: true, mode: 0o755 });
  mkdirSync(join(folder, 'open'));
  chmodSync(join(folder, 'open'), 0o777);
});
afterEach(() => rmSync(folder, { recursive: true }));

it('returns a folder where nobody else can put anything, also one that is not there yet', () => {
  expect(rootsFolder(join(folder, 'own/deep'))).toBe(join(folder, 'own/deep'));
  expect(rootsFolder(join(folder, 'own/new/newer'))).toBe(join(folder, 'own/new/newer'));
  expect(rootsFolder(join(folder, 'own/../own/./deep'))).toBe(join(folder, 'own/deep'));
});

it('follows links that nobody else can replace', () => {
  symlinkSync('deep', join(folder, 'own/relative'));
  symlinkSync(join(folder, 'own'), join(folder, 'absolute'));
  expect(rootsFolder(join(folder, 'absolute/relative/new'))).toBe(join(folder, 'own/deep/new'));
});

it('names the folder in which others can put what they like, also behind a link', () => {
  const open = join(folder, 'open');
  symlinkSync(open, join(folder, 'own/link'));
  symlinkSync(join(folder, 'own'), join(open, 'link'));
  for (const path of [open, join(open, 'new'), join(open, 'link'), join(folder, 'own/link/new')]) {
    expect(deciderOf(path)).toMatchObject({ by: 'user', at: open });
    expect(() => rootsFolder(path)).toThrow(/can change what is in .*\/open: give that folder to root/);
  }
});

it('takes an entry of its own in a sticky folder for fixed, and a new one for anybody’s', () => {
  const open = join(folder, 'open');
  mkdirSync(join(open, 'mine'));
  chmodSync(open, 0o1777);
  expect(rootsFolder(join(open, 'mine'))).toBe(join(open, 'mine'));
  expect(deciderOf(join(open, 'new'))).toMatchObject({ by: 'user', at: open });
});

it('ends at links that lead to each other', () => {
  symlinkSync('b', join(folder, 'own/a'));
  symlinkSync('a', join(folder, 'own/b'));
  expect(() => rootsFolder(join(folder, 'own/a'))).toThrow(/leads through more than 40 links/);
});
