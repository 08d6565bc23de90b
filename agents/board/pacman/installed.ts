import type { BoardConfig } from '../../../schemas/config.ts';
import type { StepEvidence } from '../../../schemas/steps.ts';
import { StepFailed } from '../../runtime/errors.ts';
import type { StepContext } from '../../runtime/step.ts';
import { lookAtFile } from '../board-root.ts';
import { createPacman } from './pacman.ts';

type Installed = StepEvidence<'install'>;
type Board = Pick<StepContext<BoardConfig>, 'host' | 'run'>;

/** An event has room for this many names. If more files are wrong, the list ends here. */
const namedAtMost = 200;

/**
 * Returns the one version in which all these packages are installed.
 * @throws {StepFailed} (host) if one is missing or half installed, or the versions differ.
 */
export const installedVersion = async ({ host, run }: Board, names: readonly string[]): Promise<string> => {
  const pacman = createPacman(host, run);
  const versions = new Map<string, string | undefined>();
  for (const name of names) versions.set(name, (await pacman.installed(name))?.version);
  const [version, ...others] = new Set(versions.values());
  if (version === undefined || others.length > 0)
    throw new StepFailed(
      'host',
      `${host.host} has ${[...versions].map(([name, found]) => `${name} ${found ?? 'not or half installed'}`).join(', ')}; one version of all was expected.`,
    );
  return version;
};

/**
 * Checks what is installed: every file of every package, the image and the initramfs.
 * @throws {StepFailed} (host) if it isn't `version`, complete. The error carries what was seen.
 */
export const lookAtInstalled = async (
  { host, run }: Board,
  names: readonly string[],
  version: string,
): Promise<Installed> => {
  const pacman = createPacman(host, run);
  const packages: Installed['packages'] = [];
  for (const name of names) {
    const entry = await pacman.installed(name);
    if (entry?.version !== version)
      throw new StepFailed(
        'host',
        `${name} ${entry ? `${entry.version} is` : 'is not or half'} installed on ${host.host} and ${version} was expected: see ${host.pacman.logFile}.`,
      );
    const filesAltered = (await pacman.altered(entry)).slice(0, namedAtMost);
    packages.push({ name, version, filesChecked: entry.entries.length, filesAltered });
  }
  const look = (path: string) =>
    lookAtFile(host.root, path).catch((error: unknown) => {
      throw new StepFailed('host', `${path} is not there after the install of ${version}.`, { cause: error });
    });
  const { image, initramfs } = host.boot;
  const seen = { version, packages, image: await look(image), initramfs: await look(initramfs) };
  const altered = packages.flatMap(({ filesAltered }) => filesAltered);
  if (altered.length > 0)
    throw new StepFailed(
      'host',
      `${altered.length} files of ${version} on ${host.host} are missing or altered, ${altered[0]} among them: look at the disk and ${host.pacman.logFile}.`,
      { seen },
    );
  return seen;
};
