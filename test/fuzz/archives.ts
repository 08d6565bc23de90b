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
import type { FuzzTarget } from './fuzz-target.ts';

/** One member of a tar archive. */
interface Member {
  name: string;
  /** As POSIX ustar names them. */
  type: 'file' | 'hard link' | 'symlink' | 'char device' | 'block device' | 'folder' | 'fifo';
  link: string;
  content: string;
  /** The size in its header, if it is not the content's. */
  sizeBytes?: number | undefined;
}

const flags = {
  file: '0',
  'hard link': '1',
  symlink: '2',
  'char device': '3',
  'block device': '4',
  folder: '5',
  fifo: '6',
} as const;

/** A member in POSIX ustar: 512 bytes of header, the content filled up to the next 512. https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html */
const ustar = ({ name, type, link, content, sizeBytes }: Member): Buffer => {
  const header = Buffer.alloc(512);
  const body = Buffer.from(type === 'file' ? content : '');
  const octal = (value: number, at: number, length: number) =>
    header.write(
      value
        .toString(8)
        .padStart(length - 1, '0')
        .slice(-(length - 1)),
      at,
      'latin1',
    );
  header.write(name, 0, 100, 'utf8');
  octal(type === 'folder' ? 0o755 : 0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(sizeBytes ?? body.length, 124, 12);
  octal(1_700_000_000, 136, 12);
  header.write('        ', 148, 'latin1');
  header.write(flags[type], 156, 'latin1');
  header.write(link, 157, 100, 'utf8');
  header.write('ustar\u000000', 257, 'latin1');
  octal(1, 329, 8);
  octal(3, 337, 8);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
};

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
      const bytes = Buffer.concat([...blocks, ...(input.end === 'none' ? [] : [Buffer.alloc(1024)])]);
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
      const unpacked = await orSentence(() => unpackBackup(run, file, join(folder, 'unpacked')));
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
