import { chown, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheKey } from '../../../deploy/cache/cache.ts';
import { createRun } from '../../../host/run.ts';
import { madeOnce } from '../../../test/made-once.ts';
import type { SigningKey } from '../../../test/signing-key.ts';

const run = createRun(() => undefined);
const nobody = 65534;

export const names = ['linux-fourier', 'linux-fourier-headers'];

/** The release does not name the pkgrel; the banner does. */
const pkgbuild = (pkgver: string, pkgrel: string, headers: number) => `
pkgbase=linux-fourier
pkgname=(${names.join(' ')})
pkgver=${pkgver}
pkgrel=${pkgrel}
arch=(any)
options=(!strip !docs !purge)
package_linux-fourier() {
  backup=(etc/fourier.conf)
  mkdir -p "$pkgdir"/{etc,boot/dtbs,usr/lib/modules/${pkgver}.0-fourier/kernel}
  echo "pkgrel=${pkgrel}" > "$pkgdir/etc/fourier.conf"
  printf 'MZ\\0Linux version ${pkgver}.0-fourier (builder@boltzmann) (gcc 12) #${pkgrel} SMP\\n\\0' > "$pkgdir/boot/Image"
  echo "dtb ${pkgrel}" > "$pkgdir/boot/dtbs/board.dtb"
  echo "rkvdec ${pkgrel}" > "$pkgdir/usr/lib/modules/${pkgver}.0-fourier/kernel/rkvdec a.ko"
  ln -s kernel "$pkgdir/usr/lib/modules/${pkgver}.0-fourier/link"
}
package_linux-fourier-headers() {
  mkdir -p "$pkgdir/usr/lib/modules/${pkgver}.0-fourier/build"
  for i in {1..${headers}}; do echo "${pkgrel} $i" > "$pkgdir/usr/lib/modules/${pkgver}.0-fourier/build/$i.h"; done
}
`;

/** Makes `<file>.sig`, binary. */
export const sign = async (key: SigningKey, file: string): Promise<void> => {
  await rm(`${file}.sig`, { force: true });
  await key.gpg(
    '--local-user',
    `${key.fingerprint}!`,
    '--output',
    `${file}.sig`,
    '--detach-sign',
    '--',
    file,
  );
};

/** Builds in an open folder: makepkg refuses to be root. */
const makepkg = async (folder: string, text: string): Promise<void> => {
  const file = join(folder, 'PKGBUILD');
  await writeFile(file, text);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) for (const path of [folder, file]) await chown(path, nobody, nobody);
  const user = isRoot ? ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'] : [];
  const env = {
    HOME: folder,
    PKGEXT: '.pkg.tar.zst',
    PKGDEST: folder,
    BUILDDIR: join(folder, 'bd'),
    SRCDEST: folder,
  };
  await run([...user, 'makepkg', '--nodeps', '--skippgpcheck', '-f'], { cwd: folder, env });
};

const packagesIn = async (folder: string) =>
  (await readdir(folder)).filter((file) => file.endsWith('.pkg.tar.zst')).sort();

/**
 * Both packages of a version, built by makepkg and signed, once per machine.
 * @param key The key that every board of a test has.
 * @param folder Where copies of them and their signatures are put.
 * @returns The packages' paths there.
 */
export const signedPackages = async (
  key: SigningKey,
  folder: string,
  { version, headers }: { version: string; headers: number },
): Promise<string[]> => {
  const [pkgver = '', pkgrel = ''] = version.split('-');
  const text = pkgbuild(pkgver, pkgrel, headers);
  const made = await madeOnce(`packages-1-${cacheKey(text, key.fingerprint)}`, async (into) => {
    const place = await mkdtemp(join(tmpdir(), 'ka-packages-'));
    try {
      await makepkg(place, text);
      for (const file of await packagesIn(place)) {
        await cp(join(place, file), join(into, file));
        await sign(key, join(into, file));
      }
    } finally {
      await rm(place, { recursive: true, force: true });
    }
  });
  await mkdir(folder, { recursive: true });
  const files = await packagesIn(made);
  for (const file of files)
    for (const one of [file, `${file}.sig`]) await cp(join(made, one), join(folder, one));
  return files.map((file) => join(folder, file));
};
