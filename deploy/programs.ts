import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { checkout } from './checkout.ts';

const needs = ['all', 'linux', 'faults', 'lab'] as const;
/** What needs a program: every fleet, builds of the real kernel, the fault suite, or the virtual board. */
export type ProgramNeed = (typeof needs)[number];

export interface Program {
  /** A program's name, or the absolute path of a file. */
  program: string;
  debian: string;
  /** Null if Arch Linux has no package with it. */
  arch: string | null;
  need: ProgramNeed;
}

const isNeed = (text: string | undefined): text is ProgramNeed => needs.some((need) => need === text);

/** The programs that the sandbox fleet needs, from the list that `ka` itself reads. */
export const programs: readonly Program[] = readFileSync(join(checkout, 'deploy/programs.tsv'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [program, debian, arch, need] = line.split('\t');
    if (!program || !debian || !arch || !isNeed(need))
      throw new Error(
        `deploy/programs.tsv: "${line}" is not program, Debian package, Arch package, ${needs.join('|')}`,
      );
    return { program, debian, arch: arch === '-' ? null : arch, need };
  });

const isThere = (program: string, folders: readonly string[]): boolean =>
  program.startsWith('/') ? existsSync(program) : folders.some((folder) => existsSync(join(folder, program)));

/**
 * The programs and files that are not on this machine.
 * @param path the folders to search; default: PATH, and the folders that Debian has only in root's PATH.
 */
export const missingPrograms = (
  needs: readonly ProgramNeed[] = ['all'],
  path = `${process.env.PATH ?? ''}${delimiter}/usr/local/sbin:/usr/sbin:/sbin`,
): Program[] => {
  const folders = path.split(delimiter).filter((folder) => folder !== '');
  return programs.filter(({ program, need }) => needs.includes(need) && !isThere(program, folders));
};

/** The command that installs the missing programs on the given distribution. */
export const installCommand = (missing: readonly Program[], distribution: 'debian' | 'arch'): string => {
  const packages = [...new Set(missing.flatMap((each) => each[distribution] ?? []))].join(' ');
  return distribution === 'debian'
    ? `apt-get update && apt-get install -y --no-install-recommends ${packages}`
    : `pacman -S --needed --noconfirm ${packages}`;
};
