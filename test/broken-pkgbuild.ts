import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { TestFleet } from './test-fleet.ts';

/**
 * Pushes a PKGBUILD that bash can't parse to the fleet's package repository.
 * @returns a function that undoes it.
 */
export const breakPkgbuild = async ({
  folder,
  places,
}: Pick<TestFleet, 'folder' | 'places'>): Promise<() => Promise<void>> => {
  const clone = join(folder, 'packages');
  const pkgbuild = join(clone, 'arch/linux-fresnel-fourier/PKGBUILD');
  const git = (...args: string[]) =>
    execa('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.org', '-C', clone, ...args]);
  await execa('git', ['clone', '--quiet', places.repository('marfrit-packages'), clone]);
  const text = await readFile(pkgbuild, 'utf8');
  await writeFile(pkgbuild, text.replace('prepare() {', 'prepare() {{'));
  await git('commit', '--quiet', '-am', 'break it');
  await git('push', '--quiet');
  return async () => {
    await git('revert', '--no-edit', 'HEAD');
    await git('push', '--quiet');
  };
};
