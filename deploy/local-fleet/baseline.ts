import { copyFile, cp, lchown, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../host/run.ts';
import { cached, cacheKey, folderKey } from '../cache/cache.ts';
import type { Making, SandboxExample } from '../examples/example.ts';

export const packager = 'kernel-agent sandbox <sandbox@kernel-agent.invalid>';

/** The unprivileged user that builds if root runs the sandbox: nobody, with this machine's ids. */
export const buildUser = async (run: Run): Promise<{ uid: number; gid: number } | undefined> => {
  if (process.getuid?.() !== 0) return undefined;
  const { stdout } = await run(['getent', 'passwd', 'nobody'], { quiet: true });
  const [, , uid, gid] = stdout.trim().split(':').map(Number);
  if (!uid || !gid)
    throw new Error(`getent passwd nobody says "${stdout.trim()}", which names no user and group`);
  return { uid, gid };
};

const give = async (folder: string, user: { uid: number; gid: number }): Promise<void> => {
  await lchown(folder, user.uid, user.gid);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    await lchown(join(entry.parentPath, entry.name), user.uid, user.gid);
};

/**
 * Builds the packages that the board has at the start with makepkg, from the example's own package folder. They are
 * cached, since the same PKGBUILD and sources would produce them again.
 * @returns the package files.
 */
export const buildBaseline = async (
  run: Run,
  example: SandboxExample,
  making: Making,
  packageFolder: string,
): Promise<string[]> => {
  const { places, cacheFolder, onProgress } = making;
  const makepkgVersion = (await run(['makepkg', '--version'], { quiet: true })).stdout.split('\n')[0] ?? '';
  const key = cacheKey(
    await folderKey(packageFolder),
    await example.baselineKey(making),
    example.carch,
    makepkgVersion,
    JSON.stringify(example.makepkgEnvironment),
  );
  const kept = await cached(
    cacheFolder,
    `baseline-${example.kernelOf ?? example.name}-${key}`,
    async (into) => {
      onProgress('building the baseline package with makepkg');
      const build = join(places.folder, 'baseline');
      await rm(build, { recursive: true, force: true });
      const folder = (name: string) => join(build, name);
      for (const name of ['sources', 'build', 'packages', 'home'])
        await mkdir(folder(name), { recursive: true });
      await cp(packageFolder, folder('package'), { recursive: true });
      await example.makeSources(making, folder('sources'));
      const user = await buildUser(run);
      if (user) await give(build, user);
      const become = user
        ? ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', '--']
        : [];
      await run([...become, 'makepkg', '--nodeps', '--skippgpcheck', '--nocolor', '--force'], {
        cwd: folder('package'),
        timeoutMs: 2 * 3600_000,
        env: {
          ...example.makepkgEnvironment,
          CARCH: example.carch,
          PKGEXT: '.pkg.tar.zst',
          PACKAGER: packager,
          HOME: folder('home'),
          BUILDDIR: folder('build'),
          PKGDEST: folder('packages'),
          SRCDEST: folder('sources'),
        },
      });
      for (const file of await readdir(folder('packages')))
        await copyFile(join(folder('packages'), file), join(into, file));
      await rm(build, { recursive: true, force: true });
    },
  );
  const files = (await readdir(kept))
    .filter((file) => file.endsWith('.pkg.tar.zst'))
    .map((file) => join(kept, file));
  if (files.length !== example.package.names.length)
    throw new Error(
      `makepkg built ${files.length} packages in ${kept}, expected ${example.package.names.join(', ')}`,
    );
  return files;
};
