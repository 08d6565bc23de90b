import { createRun } from '../../host/run.ts';
import type { Role } from '../../schemas/step-names.ts';
import { defaultCacheFolder } from '../places/default-folders.ts';
import { bundleAgent } from './agent-bundle.ts';
import { hostPlaces, programsFolder } from './places.ts';
import { type AddonTarget, addonFile, sqliteAddon } from './sqlite-addon.ts';
import { type FileWithBytes, sha256, wantedFile } from './wanted-file.ts';

export interface BuildOptions {
  cacheFolder?: string;
  /** Headers of the host's Node, if this machine's do not fit and node-gyp shall not fetch them. */
  nodeHeaders?: string;
  onProgress?: (line: string) => void;
  signal?: AbortSignal;
}

/** The programs of one build, in a folder named by the hash of its content: two equal builds are one. */
export interface HostBuild {
  name: string;
  folder: { path: string; mode: number; owner: string };
  files: FileWithBytes[];
  /** The link that names the build that runs. */
  link: { path: string; target: string };
}

const buildOf = (programs: ReadonlyMap<string, Uint8Array>): HostBuild => {
  const sums = [...programs].map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`).toSorted();
  const name = sha256(Buffer.from(sums.join(''))).slice(0, 16);
  const folder = `${programsFolder}/${name}`;
  return {
    name,
    folder: { path: folder, mode: 0o755, owner: 'root' },
    files: [...programs].map(([program, bytes]) => wantedFile(`${folder}/${program}`, bytes, 0o644)),
    link: { path: hostPlaces.current, target: name },
  };
};

/** The programs of this checkout for a host of that role and its Node. @throws if they can't be made. */
export const makeBuild = async (
  node: AddonTarget,
  role: Role,
  { cacheFolder = defaultCacheFolder(), nodeHeaders, onProgress = () => undefined, signal }: BuildOptions,
): Promise<HostBuild> => {
  const addon = await sqliteAddon(node, {
    cacheFolder,
    run: createRun(() => undefined, signal),
    onProgress,
    ...(nodeHeaders === undefined ? {} : { nodeHeaders }),
  });
  const programs = await bundleAgent(role);
  return buildOf(programs.set(addonFile, addon));
};
