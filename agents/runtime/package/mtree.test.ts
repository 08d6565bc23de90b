import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRun } from '../../../host/run.ts';
import { alteredFiles } from '../../board/pacman/altered-files.ts';
import { parseMtree } from './mtree.ts';
import { listArchive } from './package-file.ts';

describe('a manifest', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'mtree-'));
    mkdirSync(join(root, 'boot'));
    writeFileSync(join(root, 'boot', 'Bild für alle'), 'image');
    symlinkSync('Bild für alle', join(root, 'boot', 'Image'));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it('as pacman keeps it: defaults by /set, and no dot files of the package itself', () => {
    const sha256 = 'a'.repeat(64);
    expect(
      parseMtree(
        [
          '#mtree',
          '/set type=file uid=0 gid=0 mode=644',
          `./.PKGINFO time=1.0 size=9 sha256digest=${sha256}`,
          './etc time=1.0 mode=755 type=dir',
          `./etc/.hidden time=1.0 size=3 md5digest=0 sha256digest=${sha256}`,
          './etc/link type=link link=a\\040b',
        ].join('\n'),
      ),
    ).toEqual([
      { path: 'etc', type: 'dir', sizeBytes: 0, mode: 0o755, owner: '0:0' },
      { path: 'etc/.hidden', type: 'file', sizeBytes: 3, sha256, mode: 0o644, owner: '0:0' },
      { path: 'etc/link', type: 'link', sizeBytes: 0, link: 'a b', mode: 0o644, owner: '0:0' },
    ]);
  });

  it('of an archive names what is missing, altered, or another kind of file', async () => {
    const run = createRun(() => undefined);
    const archive = join(root, 'a.tar');
    await run(['bsdtar', '-cf', archive, '-C', root, 'boot']);
    const entries = await listArchive(run, archive);
    expect(entries.map(({ path }) => path).toSorted()).toEqual(['boot', 'boot/Bild für alle', 'boot/Image']);
    expect(await alteredFiles(run, root, entries)).toEqual([]);

    writeFileSync(join(root, 'boot', 'Bild für alle'), 'IMAGE');
    rmSync(join(root, 'boot', 'Image'));
    writeFileSync(join(root, 'boot', 'Image'), '');
    expect((await alteredFiles(run, root, entries)).toSorted()).toEqual([
      '/boot/Bild für alle',
      '/boot/Image',
    ]);
    expect(await alteredFiles(run, root, entries, new Set(['boot/Bild für alle']))).toEqual(['/boot/Image']);
    rmSync(join(root, 'boot'), { recursive: true });
    expect(await alteredFiles(run, root, entries)).toHaveLength(3);
  });

  it('does not belong to a package if it holds a pipe, or a path that leads out', async () => {
    const run = createRun(() => undefined);
    const archive = join(root, 'a.tar');
    await run(['mkfifo', join(root, 'boot', 'pipe')]);
    await run(['bsdtar', '-cf', archive, '-C', root, 'boot']);
    await expect(listArchive(run, archive)).rejects.toThrow('holds ./boot/pipe (fifo)');
    await run(['bsdtar', '-cPf', archive, '-s', ',^boot,a/../../boot,', '-C', root, 'boot']);
    await expect(listArchive(run, archive)).rejects.toThrow('leads out of the archive');
  });
});
