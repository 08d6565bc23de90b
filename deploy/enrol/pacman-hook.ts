import type { BoardConfig } from '../../schemas/config.ts';
import { hookFolder, hostPlaces } from './places.ts';

/**
 * The hook by which a board's pacman asks, before it changes anything, whether people have approved what it would take from
 * the fleet's repository. alpm-hooks(5)
 * @param program the hook's program, and the config that it reads.
 */
export const pacmanHook = (
  program: { node: string; file: string; config: string } = {
    node: '/usr/bin/env node',
    file: `${hostPlaces.current}/pacman-hook.mjs`,
    config: hostPlaces.config,
  },
): string => `# Written by ka enrol, and written anew by the next one. See docs/trust.md.
[Trigger]
Operation = Install
Operation = Upgrade
Type = Package
Target = *

[Action]
Description = Asking who has approved what comes from the fleet's repository...
When = PreTransaction
Exec = ${program.node} ${program.file} --config ${program.config}
NeedsTargets
AbortOnFail
`;

/** The part of a board's everyday pacman.conf that enrolment writes, and its place. */
export const pacmanRepository = ({
  pacman: { configFile, repository },
  repositoryUrl,
}: Pick<BoardConfig, 'pacman' | 'repositoryUrl'>) => {
  if (repository === undefined) return { configFile, section: null };
  // The hook has to be found even where that file names other folders.
  const text = `[options]\nHookDir = ${hookFolder}/\n[${repository}]\nSigLevel = Required\nServer = ${repositoryUrl}\n`;
  return { configFile, section: { name: repository, text } };
};
