import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { TestFleet } from './test-fleet.ts';

/**
 * Pushes another PKGBUILD to the fleet's package repository: one that bash can't parse, unless a change is given.
 * @returns a function that undoes it.
 */
export const breakPkgbuild = async (
  { folder, places }: Pick<TestFleet, 'folder' | 'places'>,
  change = (text: string) => text.replace('prepare() {', 'prepare() {{'),
): Promise<() => Promise<void>> => {
  const clone = join(folder, 'packages');
  const pkgbuild = join(clone, 'arch/linux-fresnel-fourier/PKGBUILD');
  const git = (...args: string[]) =>
    execa('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.org', '-C', clone, ...args]);
  await execa('git', ['clone', '--quiet', places.repository('marfrit-packages'), clone]);
  const text = await readFile(pkgbuild, 'utf8');
  await writeFile(pkgbuild, change(text));
  await git('commit', '--quiet', '-am', 'break it');
  await git('push', '--quiet');
  return async () => {
    await git('revert', '--no-edit', 'HEAD');
    await git('push', '--quiet');
  };
};
