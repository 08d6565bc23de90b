import { writeFile } from 'node:fs/promises';
import type { Run } from '../../../host/run.ts';
import type { SandboxExample } from '../../examples/example.ts';
import { repositoryName, type SandboxPlaces } from '../../places/sandbox-places.ts';

/** Without root, pacman and pacman-key run in a user namespace of their own, in which they are root. */
export const asPacmanUser = (argv: readonly [string, ...string[]]): readonly string[] =>
  process.getuid?.() === 0 ? argv : ['unshare', '-Ur', ...argv];

export const pacmanCommand = asPacmanUser(['pacman']);

/** Both of pacman's configurations, as text: with the fleet's repository, and without one for `-U`. */
export const pacmanConfigs = (
  paths: { root: string } & Record<'database' | 'cache' | 'log' | 'gpg' | 'hooks', string>,
  { carch, repositoryUrl }: { carch: string; repositoryUrl: string },
): { withRepository: string; local: string } => {
  const local = `# Written by kernel-agent, for a board of its own.
[options]
RootDir = ${paths.root}
DBPath = ${paths.database}
CacheDir = ${paths.cache}
LogFile = ${paths.log}
GPGDir = ${paths.gpg}
HookDir = ${paths.hooks}
Architecture = ${carch}
SigLevel = Required DatabaseRequired
LocalFileSigLevel = Required
`;
  return { local, withRepository: `${local}\n[${repositoryName}]\nServer = ${repositoryUrl}\n` };
};

/** Writes both configurations for the board's root, by its path on this machine. */
export const writePacmanConfigs = async (
  { board, root }: SandboxPlaces,
  of: { carch: string; repositoryUrl: string },
): Promise<void> => {
  const { local, withRepository } = pacmanConfigs({ root, ...board }, of);
  await writeFile(board.localPacmanConfig, local);
  await writeFile(board.pacmanConfig, withRepository);
};

/**
 * Installs the baseline from the repository over HTTP, as the board's owners did before iteration 5 began. pacman keeps
 * the package file in its cache, from which a backup takes it.
 * @throws {Error} if pacman succeeds and the packages are not installed in one version.
 */
export const installBaseline = async (
  run: Run,
  places: SandboxPlaces,
  example: SandboxExample,
): Promise<string> => {
  const pacman = (...args: string[]) =>
    run([...pacmanCommand, '--config', places.board.pacmanConfig, ...args], { quiet: args[0] === '-Q' });
  await pacman('-Sy', '--noconfirm', '--noprogressbar', '--', ...example.package.names);
  const { stdout } = await pacman('-Q', '--', ...example.package.names);
  const versions = new Set(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[1] ?? ''),
  );
  const [version, other] = versions;
  if (version === undefined || other !== undefined)
    throw new Error(`after the install, pacman -Q says "${stdout.trim()}"`);
  return version;
};
