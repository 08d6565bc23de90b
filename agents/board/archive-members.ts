import { posix } from 'node:path';
import type { Run } from '../../host/run.ts';
import { escapedLetters } from '../../schemas/escaped-letters.ts';
import { printable } from '../../schemas/printable.ts';
import { StepFailed } from '../runtime/errors.ts';

/** A member of a tar archive, as tar(1) itself would unpack it. */
export interface ArchiveMember {
  /** tar's letter for what it is: `-` a file, `d` a folder, `l` a symbolic link, `h` a hard link, … */
  kind: string;
  /** Its permissions, `rwxr-xr-x`. */
  mode: string;
  /** As the archive holds it, but for a folder's last slash. */
  path: string;
  /** Where a link leads, as the archive holds it. */
  link?: string;
}

/** Reads a name as `--quoting-style=c` writes it. */
const unquoted = (quoted: string): string =>
  Buffer.from(
    Buffer.from(quoted, 'utf8')
      .toString('latin1')
      .replace(/\\([0-7]{3}|.)/g, (_, escaped: string) =>
        escaped.length === 3
          ? String.fromCharCode(Number.parseInt(escaped, 8))
          : (escapedLetters[escaped] ?? escaped),
      ),
    'latin1',
  ).toString('utf8');

/** Kind, mode, owner, size, date, time, `"name"`, and for a link where it leads. */
const listed = /^(.)(\S{9})\S* \S+ +\S+ \S+ \S+ "((?:[^"\\]|\\.)*)"(?: (?:->|link to) "((?:[^"\\]|\\.)*)")?$/;

/**
 * Lists an archive with the program that unpacks it, member by member: another program might see others in it.
 * @throws {ProgramFailed} if tar can't read it. @throws {StepFailed} (host) if tar lists something that is no member.
 */
export const archiveMembers = async (run: Run, archive: string): Promise<ArchiveMember[]> => {
  const how = ['--verbose', '--numeric-owner', '--quoting-style=c', '--absolute-names', '--force-local'];
  const { stdout } = await run(['tar', '--list', ...how, '--file', archive], { quiet: true });
  return stdout
    .split('\n')
    .filter((text) => text !== '')
    .map((text) => {
      const [, kind, mode, path, link] = listed.exec(text) ?? [];
      if (kind === undefined || mode === undefined || path === undefined)
        throw new StepFailed(
          'host',
          `tar lists ${printable(text.slice(0, 200))} in ${archive}, which is no member: nothing is unpacked.`,
        );
      const isFolder = kind === 'd' && path.endsWith('/');
      const found = { kind, mode, path: unquoted(isFolder ? path.slice(0, -1) : path) };
      return link === undefined ? found : { ...found, link: unquoted(link) };
    });
};

/** Where a link leads, relative to the board's root; undefined if that depends on other links. */
export const linkTarget = ({ path, link = '' }: ArchiveMember): string | undefined => {
  const steps = link.split('/');
  const down = steps.findIndex((step) => step !== '..' && step !== '.' && step !== '');
  if (down >= 0 && steps.slice(down).includes('..')) return undefined;
  const target = link.startsWith('/') ? posix.normalize(link) : posix.join('/', posix.dirname(path), link);
  return target
    .split('/')
    .filter((step) => step !== '')
    .join('/');
};
