import type { SandboxPlaces } from '../../places/sandbox-places.ts';

interface FilesPort {
  filesPort: number;
}

const folderUrl = ({ filesPort }: FilesPort, name: 'arch' | 'mirror') =>
  `http://127.0.0.1:${filesPort}/${name}`;

/** The folders that the file server serves, by the first part of their URL. */
export const servedFolders = (places: SandboxPlaces): Record<'arch' | 'mirror', string> => ({
  arch: `${places.packageRepository}/current`,
  mirror: places.mirror,
});

export const repositoryUrl = (servers: FilesPort): string => folderUrl(servers, 'arch');

export const mirrorUrl = (servers: FilesPort): string => folderUrl(servers, 'mirror');
