import { writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { Fleet } from '../../schemas/fleet.ts';
import { hostNames, type SandboxPlaces, sandboxHosts } from '../places/sandbox-places.ts';
import type { BoardKind } from './board/board-kind.ts';
import type { Identities } from './identities.ts';

/**
 * Writes the fleet's file: its members, and the keys that everybody pins. It is written only once, when the fleet is
 * made, so that a later key rotation is kept. A virtual board is added when it is enrolled.
 */
export const writeFleetFile = (
  places: SandboxPlaces,
  { fleet, board, fingerprint }: { fleet: string; board: BoardKind; fingerprint: string },
  publicKeys: Identities,
): Promise<void> => {
  const key = (writer: keyof Identities) => {
    const publicKey = publicKeys[writer];
    if (publicKey === undefined) throw new Error(`${writer} has no key`);
    return { publicKey };
  };
  const hosts = hostNames.filter((host) => board === 'folder' || sandboxHosts[host] !== 'board');
  const file = Fleet.parse({
    fleet,
    signingKey: fingerprint,
    admin: key('admin'),
    keeper: key('keeper'),
    coordinator: key('coordinator'),
    operators: {
      mfritsche: { ...key('mfritsche'), may: ['start', 'retry', 'abort', 'waive', 'restore', 'keys'] },
      'sonnet-architect': { ...key('sonnet-architect'), may: ['approve'] },
    },
    hosts: Object.fromEntries(hosts.map((host) => [host, { role: sandboxHosts[host], ...key(host) }])),
  });
  return writeFile(
    places.fleetFile,
    `# Written by kernel-agent when this fleet was made: ${fleet}.\n${stringify(file)}`,
  );
};
