import type { Run } from '../../../host/run.ts';
import { printable } from '../../../schemas/printable.ts';
import { StepFailed } from '../errors.ts';
import { type MtreeEntry, parseMtree, scriptletIn, unsafeMember } from './mtree.ts';

/** What a package file says about itself, and what it holds. */
export interface PackageContent {
  file: string;
  name: string;
  version: string;
  /** The disk space that it takes once it is installed. */
  installedBytes: number;
  entries: MtreeEntry[];
  /** sha256 of its scriptlet; null if it has none. */
  scriptlet: string | null;
  /** The paths in it that belong to the board's owner once they are installed. */
  backup: ReadonlySet<string>;
}

const keys = 'type,size,sha256,link,mode,uid,gid,uname,gname';

/**
 * Lists the content of an archive. The sizes and sha256s are those of the bytes in the archive.
 * @throws {StepFailed} (work) if it holds a device, or a path that would be unpacked somewhere else.
 */
export const listArchive = async (run: Run, file: string): Promise<MtreeEntry[]> =>
  parseMtree(await manifestOf(run, file));

const manifestOf = async (run: Run, file: string): Promise<string> => {
  const argv = ['bsdtar', '-cf', '-', '--format=mtree', `--options=!all,${keys}`, `@${file}`];
  const { stdout } = await run(argv, { quiet: true });
  const unsafe = unsafeMember(stdout);
  if (unsafe !== undefined)
    throw new StepFailed(
      'work',
      `${file} holds ${printable(unsafe)}; files, folders and links inside it were expected.`,
    );
  return stdout;
};

/**
 * Reads a pacman package: `.PKGINFO` for what it says about itself, the archive for what it holds.
 * @throws {StepFailed} (work) if it has no such `.PKGINFO`. @throws {ProgramFailed} if bsdtar can't read it.
 */
export const readPackageFile = async (run: Run, file: string): Promise<PackageContent> => {
  const { stdout } = await run(['bsdtar', '-xOqf', file, '.PKGINFO'], { quiet: true });
  const all = (key: string) =>
    stdout.split('\n').flatMap((line) => (line.startsWith(`${key} = `) ? [line.slice(key.length + 3)] : []));
  const [name] = all('pkgname');
  const [version] = all('pkgver');
  if (name === undefined || version === undefined)
    throw new StepFailed(
      'work',
      `${file} names no package and version in its .PKGINFO: it is no pacman package.`,
    );
  const manifest = await manifestOf(run, file);
  return {
    file,
    name,
    version,
    installedBytes: Number(all('size')[0] ?? 0),
    entries: parseMtree(manifest),
    scriptlet: scriptletIn(manifest),
    backup: new Set(all('backup')),
  };
};
