import type { BuilderConfig } from '../../schemas/config.ts';
import type { SandboxPlaces } from '../places/sandbox-places.ts';

/** What is needed to make an example's repositories and its baseline. */
export interface Making {
  places: SandboxPlaces;
  /** What is expensive and the same each time is kept here, by the hash of what it is made from. */
  cacheFolder: string;
  onProgress: (line: string) => void;
}

/** All in which one example of an iteration differs from another, for the same sandbox fleet. */
export interface SandboxExample {
  name: string;
  /** The bare git repositories that plans name, each with what it holds at the start. */
  repositories: readonly string[];
  /** Makes those repositories below `places.git`. */
  makeRepositories(making: Making): Promise<void>;
  /** Puts the sources that are not in the package's folder into a SRCDEST. */
  makeSources(making: Making, sourcesFolder: string): Promise<void>;
  carch: BuilderConfig['makepkg']['carch'];
  makepkgEnvironment: Readonly<Record<string, string>>;
  package: {
    repository: string;
    /** The PKGBUILD's folder in that repository. */
    folder: string;
    names: readonly [string, ...string[]];
  };
  /** The PKGBUILD's folder as the packages repository holds it at the start. */
  packageFolder(making: Making): string;
  /** The example whose baseline and worktrees this one shares in the cache: the same kernel. Default: none. */
  kernelOf?: string;
  /** What the baseline package is made from besides its folder, as text: a change of it builds the package anew. */
  baselineKey(making: Making): Promise<string>;
  /** Where builders' worktrees outlive a sandbox, to be found again by the next: what they are of. */
  worktreesKey?(): Promise<string>;
  /** What a board has that is a folder of this machine. */
  board?: {
    /** The folder with `extlinux.conf` for the board's /boot/extlinux. */
    bootFolder: string;
    /** What is run as `… ROW PATH FIXTURE OUTPUT`. */
    sweepCommand(places: SandboxPlaces): readonly string[];
    fixturesFolder: string | undefined;
  };
  /** The operator's plans, in the order of their iterations. Where they depend on this machine's files, they are written with the repositories. */
  planFiles(places: SandboxPlaces): string[];
}

/** What an example's board has as a folder of this machine. @throws {Error} if it can't be one. */
export const folderBoardOf = ({ name, board }: SandboxExample): NonNullable<SandboxExample['board']> => {
  if (!board) throw new Error(`the example ${name} needs a virtual board: ka lab`);
  return board;
};
