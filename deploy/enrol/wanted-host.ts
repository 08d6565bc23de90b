import { readFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { Refused } from '../../coordinator/refused.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { type AgentConfig, EnrolledHost } from '../../schemas/config.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { trustFileText } from '../../schemas/trust-file.ts';
import { fleetIn } from './fleet-file.ts';
import { completeConfig, needsIdentity, ownFolders } from './host-config.ts';
import { wantedLogins } from './logins.ts';
import { pacmanHook, pacmanRepository } from './pacman-hook.ts';
import { agentUser, configFolder, hookFolder, hostPlaces, programsFolder, stateHome } from './places.ts';
import { unitFiles } from './unit-files.ts';
import { type FileWithBytes, wantedFile } from './wanted-file.ts';

export interface HostFiles {
  host: string;
  /** The host's config without the members that enrolment decides: {@link EnrolledHost}, as YAML. */
  hostConfigFile: string;
  /** The operator's fleet file, to which the host and its key are added. */
  fleetFile: string;
}

/** Reads the files of this machine that are carried over to a host. */
const readCarried = (carried: ReadonlyMap<string, string>): Promise<FileWithBytes[]> =>
  Promise.all(
    [...carried].map(async ([there, here]) => {
      const bytes = await readFile(here).catch((cause: unknown) => {
        throw new Error(
          `${here}, which the host's file names and which would be carried over to ${there}, can't be read (${cause instanceof Error ? cause.message : String(cause)}): put it there, or correct the host's file`,
          { cause },
        );
      });
      return wantedFile(there, bytes, 0o644);
    }),
  );

const header = '# Written by ka enrol, and written anew by the next one.\n';

/**
 * A host as the operator's files describe it: everything but its build, which depends on its Node, and its trust
 * file, which depends on its key.
 * @throws {Refused} if the files contradict each other.
 */
export const wantedHost = async ({ host, hostConfigFile, fleetFile }: HostFiles) => {
  const fleet = readConfigFile(fleetFile, Fleet);
  const written = readConfigFile(hostConfigFile, EnrolledHost);
  const { config, carried, logins } = completeConfig(written, {
    fleet: fleet.fleet,
    host,
    file: hostConfigFile,
  });
  if (config.role !== 'builder' && config.signing.fingerprint !== fleet.signingKey)
    throw new Refused(
      `${hostConfigFile} names the signing key ${config.signing.fingerprint}, and the fleet's is ${fleet.signingKey}`,
    );
  const { units, files: unitTexts } = await unitFiles(config);
  const user = config.role === 'board' ? null : agentUser;
  const owner = user ?? 'root';
  const peers = wantedLogins(config, logins);
  return {
    host,
    fleet,
    fleetFile,
    config,
    user,
    folders: [
      { path: configFolder, mode: 0o755, owner: 'root' },
      { path: programsFolder, mode: 0o755, owner: 'root' },
      { path: stateHome, mode: 0o700, owner },
      { path: hostPlaces.keys, mode: 0o700, owner },
      ...[...unitTexts.keys()]
        .filter((path) => path.includes('.service.d/'))
        .map((path) => ({ path: path.slice(0, path.lastIndexOf('/')), mode: 0o755, owner: 'root' })),
      ...(config.role === 'board' ? [{ path: hookFolder, mode: 0o755, owner: 'root' }] : []),
      // What peers see as / comes before what is in it.
      ...(peers?.folders ?? []),
      ...ownFolders(config).map((path) => ({ path, mode: 0o755, owner })),
    ],
    files: [
      wantedFile(hostPlaces.config, header + stringify(config satisfies AgentConfig), 0o644),
      ...(await readCarried(carried)),
      ...[...unitTexts].map(([path, text]) => wantedFile(path, text, 0o644)),
      ...(config.role === 'board' ? [wantedFile(hostPlaces.pacmanHook, pacmanHook(), 0o644)] : []),
      ...(peers?.files ?? []),
    ],
    links: peers?.links ?? [],
    logins: peers?.asked ?? null,
    places: {
      keyFile: hostPlaces.key,
      identityFile: needsIdentity(config) ? hostPlaces.identity : null,
      owedFile: hostPlaces.owed,
    },
    pacmanConfig: config.role === 'board' ? config.pacman.configFile : null,
    pacmanRepository: config.role === 'board' ? pacmanRepository(config) : null,
    units,
  };
};
export type WantedHost = Awaited<ReturnType<typeof wantedHost>>;

/** A host's trust file. @param text the fleet's file. */
export const trustCopy = (text: string): FileWithBytes =>
  wantedFile(hostPlaces.trust, trustFileText(fleetIn(text)), 0o644);
