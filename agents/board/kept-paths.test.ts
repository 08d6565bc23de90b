import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createRun } from '../../host/run.ts';
import { sha256 } from '../../schemas/hash.ts';
import { endOfArchive, type Member, ustar } from '../../test/ustar.ts';
import { unpackBackup } from './backup-archive.ts';

const folder = mkdtempSync(join(tmpdir(), 'ka-kept-'));
afterAll(() => rmSync(folder, { recursive: true }));

const host = {
  root: '/board',
  boot: { image: '/boot/Image', initramfs: '/boot/initramfs.img', keep: ['/boot/dtbs'] },
};
const hash = sha256('x');
const backup = {
  files: [
    { path: '/boot/Image', sizeBytes: 1, sha256: hash },
    { path: '/usr/lib/modules/7.0.0', sizeBytes: 1, sha256: hash },
  ],
  packages: [{ name: 'linux', file: 'linux-7.0-1-any.pkg.tar.zst', sizeBytes: 1, sha256: hash }],
};

const file = (name: string, more: Partial<Member> = {}): Member => ({
  ...{ name, type: 'file', link: '', content: 'x' },
  ...more,
});
const link = (name: string, to: string, type: Member['type'] = 'symlink') => file(name, { type, link: to });
const good = [
  file('./', { type: 'folder' }),
  file('./boot/', { type: 'folder' }),
  file('./boot/Image'),
  file('./boot/dtbs/', { type: 'folder', mode: 0o2755 }),
  file('./boot/dtbs/a "b"\\c ü -> d.dtb'),
  link('./boot/dtbs/default.dtb', 'rockchip/board.dtb'),
  link('./boot/dtbs/image', '/boot/Image'),
  file('./usr/lib/modules/7.0.0/kernel/rkvdec.ko'),
  link('./usr/lib/modules/7.0.0/build', '/usr/src/linux'),
  link('./usr/lib/modules/7.0.0/extramodules', '../extramodules-7.0'),
  file('./packages/', { type: 'folder' }),
  file('./packages/linux-7.0-1-any.pkg.tar.zst'),
  file('./packages/linux-7.0-1-any.pkg.tar.zst.sig'),
];

const unpack = async (members: readonly Member[]): Promise<string[]> => {
  const archive = join(folder, 'archive.tar');
  writeFileSync(archive, Buffer.concat([...members.map(ustar), endOfArchive]));
  const into = join(folder, 'unpacked');
  rmSync(into, { recursive: true, force: true });
  try {
    await unpackBackup(
      createRun(() => undefined),
      host,
      archive,
      backup,
      into,
    );
  } catch (error) {
    expect(readdirSync(folder)).toEqual(['archive.tar']);
    throw error;
  }
  return readdirSync(into, { recursive: true }).map(String).toSorted();
};

it('unpacks what the config keeps, the module folders of the backup, and its packages', async () => {
  expect(await unpack(good)).toEqual(expect.arrayContaining(['boot/dtbs/a "b"\\c ü -> d.dtb', 'boot/Image']));
});

it.each<[string, Member | Member[]]>([
  ['etc/cron.d/x, which this board', file('./etc/cron.d/x')],
  ['root/.ssh/authorized_keys, which this board', file('./root/.ssh/authorized_keys')],
  ['boot/Image-other, which this board', file('./boot/Image-other')],
  ['usr/lib/modules/7.0.1/a.ko, which this board', file('./usr/lib/modules/7.0.1/a.ko')],
  ['.profile, which this board', file('.profile')],
  ['/boot/dtbs/x, which leads out', file('/boot/dtbs/x')],
  ['boot/dtbs/../../etc/x, which leads out', file('./boot/dtbs/../../etc/x')],
  ['boot/dtbs, twice', [file('./boot/dtbs/', { type: 'folder' })]],
  ['boot/Image, twice', link('./boot/Image', 'dtbs/x')],
  ['boot/dtbs/out, a link to /etc,', link('./boot/dtbs/out', '/etc')],
  ['boot/dtbs/out, a link to ../../etc,', link('./boot/dtbs/out', '../../etc')],
  ['boot/dtbs/out, a link to default.dtb/../../..,', link('./boot/dtbs/out', 'default.dtb/../../..')],
  ['boot/dtbs/build, a link to /usr/src/linux,', link('./boot/dtbs/build', '/usr/src/linux')],
  ['boot/dtbs/default.dtb/x, which is below a link', file('./boot/dtbs/default.dtb/x')],
  ['usr/lib/modules/7.0.0/build/x, which is below a link', file('./usr/lib/modules/7.0.0/build/x')],
  ['boot/dtbs/hard, which is neither', link('./boot/dtbs/hard', '/etc/shadow', 'hard link')],
  ['boot/dtbs/disk, which is neither', link('./boot/dtbs/disk', '', 'block device')],
  ['boot/dtbs/pipe, which is neither', link('./boot/dtbs/pipe', '', 'fifo')],
  ['boot/dtbs/sh, which would run', file('./boot/dtbs/sh', { mode: 0o4755 })],
  ['boot/dtbs/sh, which would run', file('./boot/dtbs/sh', { mode: 0o2644 })],
  ['packages/other.pkg.tar.zst, which is none', file('./packages/other.pkg.tar.zst')],
  ['packages/linux-7.0-1-any.pkg.tar.zst/x, which is none', file('./packages/linux-7.0-1-any.pkg.tar.zst/x')],
  ['packages/to, which is none', link('./packages/to', 'linux-7.0-1-any.pkg.tar.zst')],
])('refuses %s and unpacks nothing', async (named, members) => {
  await expect(unpack([...good, ...[members].flat()])).rejects.toMatchObject({
    fault: 'host',
    message: expect.stringContaining(`holds ${named}`),
  });
});

it('takes no release from a path that leads elsewhere', async () => {
  const files = [{ path: '/usr/lib/modules/..', sizeBytes: 1, sha256: hash }];
  const archive = join(folder, 'archive.tar');
  writeFileSync(archive, Buffer.concat([ustar(file('./usr/lib/libc.so.6')), endOfArchive]));
  await expect(
    unpackBackup(
      createRun(() => undefined),
      host,
      archive,
      { ...backup, files },
      join(folder, 'unpacked'),
    ),
  ).rejects.toThrow('which this board');
});
