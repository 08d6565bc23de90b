import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRun } from '../../../host/run.ts';
import type { BuilderConfig } from '../../../schemas/config.ts';
import { createGit } from '../git/git.ts';
import { builderConfig } from '../testdata/builder-config.ts';
import { createMakepkg } from './makepkg.ts';
import { openWorktree } from './worktree.ts';

const run = createRun(() => undefined);
let folder: string;
let config: BuilderConfig;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ka-makepkg-'));
  await chmod(folder, 0o755);
  config = builderConfig(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('makepkg', () => {
  test('names the package files of the configured architecture, and leaves no copy behind', async () => {
    const place = join(folder, 'closed');
    await mkdir(place, { mode: 0o700 });
    await writeFile(
      join(place, 'PKGBUILD'),
      'pkgbase=a\npkgname=(a a-b)\npkgver=1\npkgrel=2\nepoch=3\narch=(aarch64)\npackage_a() { :; }\npackage_a-b() { :; }\n',
    );
    const files = await createMakepkg(run, config).packageList(place);
    expect(files).toEqual(['a-3:1-2-aarch64.pkg.tar.zst', 'a-b-3:1-2-aarch64.pkg.tar.zst']);
    expect(await readdir(config.makepkg.worktreesFolder)).toEqual([]);
  });

  test('a failing command of the PKGBUILD is reported in its own words', async () => {
    const place = join(folder, 'failing');
    await mkdir(place);
    await writeFile(
      join(place, 'PKGBUILD'),
      'pkgname=a\npkgver=$(no-such-program)1\npkgrel=1\narch=(any)\npackage() { :; }\n',
    );
    await expect(createMakepkg(run, config).printSrcinfo(place)).rejects.toMatchObject({
      fault: 'work',
      message: expect.stringContaining('line 2: no-such-program: command not found'),
    });
  });

  test.runIf(process.getuid?.() === 0)('an agent that is root needs a user to run it as', async () => {
    const { user: _, ...without } = config.makepkg;
    const makepkg = createMakepkg(run, { ...config, makepkg: without });
    await expect(makepkg.printSrcinfo(join(folder, 'failing'))).rejects.toMatchObject({
      fault: 'host',
      message: expect.stringContaining('makepkg.user'),
    });
  });

  test('a program in a worktree waits for another that still works there', async () => {
    const makepkg = createMakepkg(run, config);
    const worktree = join(config.makepkg.worktreesFolder, 'a');
    const { place } = await openWorktree(makepkg, worktree, 'a', {
      git: createGit(run, config),
      workFolder: folder,
      packagesFolder: folder,
      epochSeconds: 0,
    });
    const order: string[] = [];
    const first = makepkg.runInside(place, ['sleep', '0.6']).then(() => order.push('first'));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const second = makepkg.runInside(place, ['true']).then(() => order.push('second'));
    await Promise.all([first, second]);
    expect(order).toEqual(['first', 'second']);
  });
});
