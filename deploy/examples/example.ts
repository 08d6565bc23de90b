import type { BuilderConfig } from '../../schemas/config.ts';
import type { SandboxPlaces } from '../places/sandbox-places.ts';

/** The inputs for an example's repositories and its baseline. */
export interface Making {
  places: SandboxPlaces;
  /** Keeps expensive results that are the same each time, by the hash of their inputs. */
  cacheFolder: string;
  onProgress: (line: string) => void;
}

/** Everything in which examples of an iteration differ, for the same sandbox fleet. */
export interface SandboxExample {
  name: string;
  /** The names of the bare git repositories that plans use. */
  repositories: readonly string[];
  /** Makes those repositories below `places.git`, with their initial content. */
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
  /** The PKGBUILD's folder with the initial content of the packages repository. */
  packageFolder(making: Making): string;
  /** The example whose baseline and worktrees this one shares in the cache: the same kernel. Default: none. */
  kernelOf?: string;
  /** What the baseline package is made from besides its folder, as text: if it changes, the package is built again. */
  baselineKey(making: Making): Promise<string>;
  /** A key for the content of builders' worktrees, if these outlive a sandbox and the next one uses them again. */
  worktreesKey?(): Promise<string>;
  /** The parts of a board that is a folder of this machine. */
  board?: {
    /** The folder with `extlinux.conf` for the board's /boot/extlinux. */
    bootFolder: string;
    /** The sweep's command, run as `… ROW PATH FIXTURE OUTPUT`. */
    sweepCommand(places: SandboxPlaces): readonly string[];
    fixturesFolder: string | undefined;
  };
  /**
   * The operator's plans, in the order of their iterations. If they depend on this machine's files, they are written
   * together with the repositories.
   */
  planFiles(places: SandboxPlaces): string[];
}

/** The parts of an example's board as a folder of this machine. @throws {Error} if it can't be one. */
export const folderBoardOf = ({ name, board }: SandboxExample): NonNullable<SandboxExample['board']> => {
  if (!board) throw new Error(`the example ${name} needs a virtual board: ka lab`);
  return board;
};
