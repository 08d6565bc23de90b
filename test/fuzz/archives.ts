import { createHash } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { boardEntries, unpackBackup } from '../../agents/board/backup-archive.ts';
import { alteredFiles } from '../../agents/board/pacman/altered-files.ts';
import { restore } from '../../agents/board/restore.ts';
import { inspectPackages } from '../../agents/builder/makepkg/offer.ts';
import { describePackage, readDatabase } from '../../agents/publisher/package-database.ts';
import { StepFailed } from '../../agents/runtime/errors.ts';
import { readPackageFile } from '../../agents/runtime/package/package-file.ts';
import { ProgramFailed } from '../../host/errors.ts';
import { createRun } from '../../host/run.ts';
import { endOfArchive, type Member, ustar } from '../ustar.ts';
import type { FuzzTarget } from './fuzz-target.ts';

/** Everything below a folder, except the listed paths. */
const lookAt = (folder: string, except: readonly string[], path = ''): string[] =>
  readdirSync(join(folder, path)).flatMap((name) => {
    const own = join(path, name);
    if (except.includes(own)) return [];
    const found = lstatSync(join(folder, own));
    if (found.isDirectory()) return [`${own}/`, ...lookAt(folder, except, own)];
    const what = found.isSymbolicLink()
      ? readlinkSync(join(folder, own))
      : found.isFile()
        ? createHash('sha256')
            .update(readFileSync(join(folder, own)))
            .digest('hex')
        : 'special';
    return [`${own} ${what} ${found.mode}`];
  });

const names = [
  ...[
    '../outside/new',
    '../../outside/new',
    'a/../../outside/secret',
    '/etc/ka-fuzz',
    'boot/../../outside/secret',
    './../outside/new',
  ],
  ...[
    'boot/Image',
    'boot/initramfs',
    'packages/a.pkg.tar.zst',
    'packages',
    'boot',
    'link',
    'link/new',
    'link/secret',
    'usr/lib/modules/7/x',
  ],
  ...[
    '-rf',
    '--checkpoint-action=exec=sh',
    '--to-command=id',
    '-',
    '.PKGINFO',
    '.BUILDINFO',
    'a-1-1/desc',
    '@x',
    '~',
    'C:x',
    'host:x',
  ],
  ...[
    'a\nb',
    'a\tb',
    '\u001b[31mred',
    '\u202etxt',
    'a b',
    'a\\b',
    'a\\056\\056',
    '..',
    '.',
    './',
    'x/..',
    'etc/passwd',
    '..\\x',
  ],
];
const links = [
  '../outside',
  '../outside/secret',
  '/etc/passwd',
  '/',
  '..',
  'boot',
  'link',
  'boot/Image',
  '../../../../../../etc',
  '-rf',
  '',
];
const pkginfo = 'pkgname = linux-fourier\npkgver = 7.0-1\narch = any\nsize = 5\n';

const member: fc.Arbitrary<Member> = fc.record({
  name: fc.constantFrom(...names),
  type: fc.constantFrom(
    ...([
      'file',
      'file',
      'file',
      'symlink',
      'symlink',
      'hard link',
      'hard link',
      'char device',
      'block device',
      'folder',
      'fifo',
    ] as const),
  ),
  link: fc.constantFrom(...links),
  content: fc.constantFrom(
    'x',
    pkginfo,
    `${pkginfo}__proto__ = x\nconstructor = y\n`,
    '%FILENAME%\n../x\n\n%NAME%\n-x\n',
    'pkgname = -rf\npkgver = ../..\n',
  ),
  sizeBytes: fc.option(fc.constantFrom(0, 10_000, 0o77777777777), { nil: undefined, freq: 10 }),
});

const archive = fc.record({
  members: fc.array(member, { minLength: 1, maxLength: 5 }),
  withInfo: fc.boolean(),
  end: fc.constantFrom('whole', 'whole', 'whole', 'cut', 'none'),
});

const keepsAll = {
  root: '/board',
  boot: { image: '/boot/Image', initramfs: '/boot/initramfs.img', keep: ['/'] },
};
const noPackages = { files: [], packages: [] };

/** Real archives for the programs that read, list and unpack them: nothing outside the target folder may change. */
export const archives: FuzzTarget = {
  name: 'archives',
  share: 1,
  programs: true,
  property: (scratch) => {
    const run = createRun(() => undefined);
    const inside = async (input: { members: Member[]; withInfo: boolean; end: string }): Promise<void> => {
      const folder = join(scratch, 'case');
      rmSync(folder, { recursive: true, force: true });
      for (const name of ['outside', 'unpacked', 'board/boot', 'files'])
        mkdirSync(join(folder, name), { recursive: true });
      writeFileSync(join(folder, 'outside/secret'), 'secret');
      writeFileSync(join(folder, 'board/boot/Image'), 'old');
      symlinkSync('../outside', join(folder, 'board/elsewhere'));
      const info: Member[] = input.withInfo
        ? [{ name: '.PKGINFO', type: 'file', link: '', content: pkginfo }]
        : [];
      const blocks = [...info, ...input.members].map(ustar);
      const bytes = Buffer.concat([...blocks, ...(input.end === 'none' ? [] : [endOfArchive])]);
      const file = join(folder, 'files', 'linux-fourier-7.0-1-any.pkg.tar.zst');
      writeFileSync(file, input.end === 'cut' ? bytes.subarray(0, bytes.length - 700) : bytes);
      const before = lookAt(folder, ['unpacked', 'board']).join('\n');
      const orSentence = async <Result>(read: () => Promise<Result>): Promise<Result | undefined> => {
        try {
          return await read();
        } catch (error) {
          const code = (error as NodeJS.ErrnoException).code;
          // If an expected file or folder was not unpacked, the file system throws its own error.
          if (error instanceof StepFailed || error instanceof ProgramFailed || /^E[A-Z]+$/.test(code ?? ''))
            return undefined;
          throw error;
        }
      };
      await orSentence(() => readPackageFile(run, file));
      const entries = await orSentence(() => boardEntries(run, file));
      const odd = entries?.find(({ path }) => path.startsWith('/') || path.split('/').includes('..'));
      if (odd) throw new Error(`${odd.path} is taken for a file of the board`);
      await orSentence(() => describePackage(run, file));
      await orSentence(() => readDatabase(run, file));
      await orSentence(() =>
        inspectPackages(run, join(folder, 'files'), {
          names: ['linux-fourier'],
          version: '7.0-1',
          carch: 'aarch64',
        }),
      );
      const unpacked = await orSentence(() =>
        unpackBackup(run, keepsAll, file, noPackages, join(folder, 'unpacked')),
      );
      if (entries && unpacked)
        await orSentence(() => restore(run, join(folder, 'unpacked'), join(folder, 'board'), entries));
      if (entries) await orSentence(() => alteredFiles(run, join(folder, 'board'), entries));
      const after = lookAt(folder, ['unpacked', 'board']).join('\n');
      if (before !== after)
        throw new Error(`what is beside the target has changed from\n${before}\nto\n${after}`);
    };
    return fc.asyncProperty(archive, inside) as unknown as fc.IRawProperty<unknown>;
  },
};
