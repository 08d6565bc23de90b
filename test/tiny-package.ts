import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createRun } from '../host/run.ts';

/** Makes a package that pacman and repo-add accept, with the given files (path → text). Returns its path. */
export const makePackage = async (
  folder: string,
  { name, version, files = {} }: { name: string; version: string; files?: Record<string, string> },
): Promise<string> => {
  const content = await mkdtemp(join(tmpdir(), 'package-'));
  const path = join(folder, `${name}-${version}-any.pkg.tar.zst`);
  try {
    const info = {
      pkgname: name,
      pkgbase: name,
      pkgver: version,
      pkgdesc: 'A package',
      url: 'https://example.org',
      builddate: 1_700_000_000,
      packager: 'Nobody <nobody@example.org>',
      size: 1,
      arch: 'any',
      license: 'GPL',
    };
    await writeFile(
      join(content, '.PKGINFO'),
      Object.entries(info)
        .map(([key, value]) => `${key} = ${value}\n`)
        .join(''),
    );
    for (const [file, text] of Object.entries(files)) {
      await mkdir(dirname(join(content, file)), { recursive: true });
      await writeFile(join(content, file), text);
    }
    await mkdir(folder, { recursive: true });
    const members = ['.PKGINFO', ...new Set(Object.keys(files).map((file) => file.split('/')[0] ?? file))];
    // Root's, as makepkg makes them, whoever runs this.
    const owner = ['--uid=0', '--gid=0', '--uname=root', '--gname=root'];
    await createRun(() => undefined)(['bsdtar', '-C', content, '--zstd', ...owner, '-cf', path, ...members]);
    return path;
  } finally {
    await rm(content, { recursive: true });
  }
};
