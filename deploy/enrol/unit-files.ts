import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentConfig } from '../../schemas/config.ts';
import { checkout } from '../checkout.ts';
import { agentUnit, deadlineUnit } from '../systemd/unit-names.ts';
import { ownFolders } from './host-config.ts';
import { hostPlaces, stateHome } from './places.ts';

const read = (name: string): Promise<string> => readFile(join(checkout, 'deploy/systemd', name), 'utf8');

/** A path as a unit's setting takes it: quoted, `%` and `\` doubled. systemd.syntax(7), systemd.unit(5) */
export const quotePath = (path: string): string =>
  `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%')}"`;

/** The drop-in that lets a sandboxed agent write to the folders of its config outside of the unit's own state. */
const dropIn = (config: AgentConfig): string => {
  const gnupg = config.role === 'publisher' ? [config.signing.gnupgHome] : [];
  const paths = [...ownFolders(config), ...gnupg].filter((path) => !`${path}/`.startsWith(`${stateHome}/`));
  const lines = paths.map((path) => `ReadWritePaths=${quotePath(path)}\n`);
  return `# Written by ka enrol: the folders that the agent's config names.\n[Service]\n${lines.join('')}`;
};

/** The unit files of a host, by their path there, and the units' names. */
export const unitFiles = async (
  config: AgentConfig,
): Promise<{ units: string[]; files: Map<string, string> }> => {
  const files = new Map<string, string>([
    [hostPlaces.unit, await read(`kernel-agent-${config.role}.service`)],
  ]);
  if (config.role !== 'board') {
    files.set(hostPlaces.dropIn, dropIn(config));
    return { units: [agentUnit], files };
  }
  files.set(hostPlaces.deadlineUnit, await read(deadlineUnit));
  // The deadline first, so that the board can go back on its own from the first step on.
  return { units: [deadlineUnit, agentUnit], files };
};
