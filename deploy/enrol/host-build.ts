import { createRun } from '../../host/run.ts';
import type { Role } from '../../schemas/step-names.ts';
import { billOfMaterials } from '../bill/bill-of-materials.ts';
import { defaultCacheFolder } from '../places/default-folders.ts';
import { type AgentBundle, bundleAgent } from './agent-bundle.ts';
import type { AddonTarget } from './node-gyp.ts';
import { hostPlaces, programsFolder } from './places.ts';
import { addonFile, sqliteAddon } from './sqlite-addon.ts';
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
  /** The sha256 of better-sqlite3's addon in it, the only part that is machine code. */
  addonSha256: string;
}

/** The file in which a build's own sums are, as `sha256sum --check` reads them. */
const sumsFile = 'SHA256SUMS';

const buildOf = (role: Role, { programs, packages, notices }: AgentBundle, addon: Uint8Array): HostBuild => {
  const built = new Map(programs).set(addonFile, addon);
  const hashed = [...built].map(([name, bytes]) => ({ name, sha256: sha256(bytes) }));
  const bill = billOfMaterials(`kernel-agent-${role}`, packages, hashed);
  built.set('sbom.cdx.json', Buffer.from(bill)).set('licences.txt', Buffer.from(notices));
  const sums = [...built].map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`).toSorted();
  const name = sha256(Buffer.from(sums.join(''))).slice(0, 16);
  const folder = `${programsFolder}/${name}`;
  built.set(sumsFile, Buffer.from(sums.join('')));
  return {
    addonSha256: sha256(addon),
    name,
    folder: { path: folder, mode: 0o755, owner: 'root' },
    files: [...built].map(([program, bytes]) => wantedFile(`${folder}/${program}`, bytes, 0o644)),
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
  return buildOf(role, await bundleAgent(role), addon);
};
