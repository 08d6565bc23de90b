import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import type { Run } from '../../host/run.ts';

/** The Node that an addon is for. */
export interface AddonTarget {
  /** `process.arch` there. */
  arch: string;
  /** `process.versions.modules` there. */
  abi: string;
  /** `process.versions.node` there. */
  version: string;
}

/** This Node. */
export const ownTarget = (): AddonTarget => ({
  arch: process.arch,
  abi: process.versions.modules,
  version: process.versions.node,
});

/** node-gyp comes with npm, which comes with Node. */
const findNodeGyp = async (): Promise<string> => {
  const folders = [...(process.env.PATH ?? '').split(delimiter), dirname(process.execPath)];
  for (const folder of folders) {
    const npm = join(folder, 'npm');
    if (!existsSync(npm)) continue;
    try {
      return createRequire(await realpath(npm)).resolve('node-gyp/bin/node-gyp.js');
    } catch {
      // This npm has no node-gyp; another one may have it.
    }
  }
  throw new Error('node-gyp was not found, which has to compile addons: install npm here');
};

/** Node's own headers, where they are beside it; undefined if node-gyp has to fetch them. */
const headersHere = async (abi: string): Promise<string | undefined> => {
  const here = dirname(dirname(await realpath(process.execPath)));
  return abi === process.versions.modules && existsSync(join(here, 'include/node/node.h')) ? here : undefined;
};

/**
 * Compiles the addon whose `binding.gyp` is in a folder, into `build/Release` there.
 * @param home for node-gyp's own files.
 * @param headers a folder with `include/node/node.h` of the target's Node; if it is needed and absent, node-gyp fetches it.
 */
export const compileAddon = async (
  run: Run,
  folder: string,
  { arch, abi, version }: AddonTarget,
  {
    home,
    headers,
    args = [],
    env = {},
  }: { home: string; headers?: string | undefined; args?: string[]; env?: Record<string, string> },
): Promise<void> => {
  const nodeHeaders = headers ?? (await headersHere(abi));
  await run(
    [
      ...[process.execPath, await findNodeGyp(), 'rebuild', '--release', `--arch=${arch}`],
      nodeHeaders === undefined ? `--target=${version}` : `--nodedir=${nodeHeaders}`,
      ...args,
    ],
    { cwd: folder, env: { HOME: home, ...env }, timeoutMs: 20 * 60_000 },
  );
};
