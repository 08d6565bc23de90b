import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import type { AgentConfig } from '../../schemas/config.ts';
import { type HostConfig, needsIdentity, ownFolders } from './host-config.ts';
import type { WantedFile } from './on-host/asked.ts';
import { agentUser, configFolder, hostPlaces, programsFolder, stateHome } from './places.ts';

export type FileWithBytes = WantedFile & { bytes: Uint8Array };

const sha256 = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex');

const file = (path: string, content: Uint8Array | string, mode: number): FileWithBytes => {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return { path, mode, owner: 'root', sha256: sha256(bytes), bytes };
};

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What a host of that config should look like, but for its programs and the fleet's file. */
export const wantedHost = async ({ config, carried }: HostConfig, unitFiles: ReadonlyMap<string, string>) => {
  const user = config.role === 'board' ? null : agentUser;
  const owner = user ?? 'root';
  const carriedFiles = await Promise.all(
    [...carried].map(async ([there, here]) => {
      const bytes = await readFile(here).catch((cause: unknown) => {
        throw new Error(
          `${here}, which the host's file names and which would be carried over to ${there}, can't be read (${said(cause)}): put it there, or correct the host's file`,
          { cause },
        );
      });
      return file(there, bytes, 0o644);
    }),
  );
  const header = '# Written by ka enrol, and written anew by the next one.\n';
  return {
    user,
    folders: [
      { path: configFolder, mode: 0o755, owner: 'root' },
      { path: programsFolder, mode: 0o755, owner: 'root' },
      { path: stateHome, mode: 0o700, owner },
      { path: hostPlaces.keys, mode: 0o700, owner },
      ...[...unitFiles.keys()]
        .filter((path) => path.includes('.service.d/'))
        .map((path) => ({ path: path.slice(0, path.lastIndexOf('/')), mode: 0o755, owner: 'root' })),
      ...ownFolders(config).map((path) => ({ path, mode: 0o755, owner })),
    ],
    files: [
      file(hostPlaces.config, header + stringify(config satisfies AgentConfig), 0o644),
      ...carriedFiles,
      ...[...unitFiles].map(([path, text]) => file(path, text, 0o644)),
    ],
    places: {
      keyFile: hostPlaces.key,
      identityFile: needsIdentity(config) ? hostPlaces.identity : null,
      owedFile: hostPlaces.owed,
    },
    pacmanConfig: config.role === 'board' ? config.pacman.configFile : null,
  };
};

export const fleetCopy = (text: string): FileWithBytes => file(hostPlaces.fleet, text, 0o644);

/** The programs of one build, in a folder that is named for what is in it: two builds that are the same are one. */
export const buildFiles = (
  programs: ReadonlyMap<string, Uint8Array>,
): { build: string; folder: string; files: FileWithBytes[] } => {
  const sums = [...programs].map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`).toSorted();
  const build = sha256(Buffer.from(sums.join(''))).slice(0, 16);
  const folder = `${programsFolder}/${build}`;
  return {
    build,
    folder,
    files: [...programs].map(([name, bytes]) => file(`${folder}/${name}`, bytes, 0o644)),
  };
};
