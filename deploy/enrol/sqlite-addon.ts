import { existsSync } from 'node:fs';
import { copyFile, cp, readFile, realpath, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { Refused } from '../../coordinator/refused.ts';
import type { Run } from '../../host/run.ts';
import { cached, cacheKey } from '../cache/cache.ts';

/** The Node that an addon is for. */
export interface AddonTarget {
  /** `process.arch` there. */
  arch: string;
  /** `process.versions.modules` there. */
  abi: string;
  /** `process.versions.node` there. */
  version: string;
}

export interface AddonOptions {
  cacheFolder: string;
  run: Run;
  /** A folder with `include/node/node.h` of the target's Node; if it is needed and absent, node-gyp fetches it. */
  nodeHeaders?: string;
  onProgress: (line: string) => void;
}

export const addonFile = 'better_sqlite3.node';

/** The prefix of the cross compilers for each architecture, in Debian and Arch Linux. */
const crossCompilers: Readonly<Record<string, string>> = {
  arm64: 'aarch64-linux-gnu',
  x64: 'x86_64-linux-gnu',
};

const modules = createRequire(import.meta.url);

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
  throw new Error(
    'node-gyp was not found, which has to compile better-sqlite3 for the host: install npm here',
  );
};

const compile = async (
  folder: string,
  sources: string,
  { arch, version, abi }: AddonTarget,
  { run, nodeHeaders }: AddonOptions,
): Promise<void> => {
  const work = join(folder, 'work');
  await cp(sources, work, { recursive: true, filter: (path) => path !== join(sources, 'build') });
  const prefix = crossCompilers[arch];
  const isCross = arch !== process.arch;
  if (isCross && prefix === undefined)
    throw new Refused(`the host's Node is for ${arch}, and an agent is made for arm64 and x64 alone`);
  const here = dirname(dirname(await realpath(process.execPath)));
  const ownHeaders =
    abi === process.versions.modules && existsSync(join(here, 'include/node/node.h')) ? here : undefined;
  const headers = nodeHeaders ?? ownHeaders;
  await run(
    [
      process.execPath,
      await findNodeGyp(),
      ...['rebuild', '--release', `--arch=${arch}`],
      headers === undefined ? `--target=${version}` : `--nodedir=${headers}`,
    ],
    {
      cwd: work,
      env: {
        HOME: folder,
        ...(isCross ? { CC: `${prefix}-gcc`, CXX: `${prefix}-g++`, AR: `${prefix}-ar` } : {}),
      },
      timeoutMs: 20 * 60_000,
    },
  );
  await copyFile(join(work, 'build/Release', addonFile), join(folder, addonFile));
  await rm(work, { recursive: true, force: true });
};

/**
 * better-sqlite3's addon for the Node of a host: this checkout's own if architecture and ABI are the same; otherwise
 * one that is compiled here, which takes about a minute and is cached.
 * @throws if it can't be compiled.
 */
export const sqliteAddon = async (target: AddonTarget, options: AddonOptions): Promise<Buffer> => {
  const sources = dirname(modules.resolve('better-sqlite3/package.json'));
  if (target.arch === process.arch && target.abi === process.versions.modules)
    return readFile(join(sources, 'build/Release', addonFile));
  const { version } = JSON.parse(await readFile(join(sources, 'package.json'), 'utf8')) as {
    version: string;
  };
  const key = cacheKey(version, target.arch, target.abi);
  const folder = await cached(options.cacheFolder, `better-sqlite3-${target.arch}-${key}`, async (part) => {
    options.onProgress(`compiling better-sqlite3 for ${target.arch}, Node ${target.version}: about a minute`);
    await compile(part, sources, target, options).catch((cause: unknown) => {
      throw new Error(
        `better-sqlite3 could not be compiled for ${target.arch}, Node ${target.version} (${cause instanceof Error ? cause.message : cause}): it takes python3, make and ${target.arch === process.arch ? 'g++' : `${crossCompilers[target.arch]}-g++`}`,
        { cause },
      );
    });
  });
  return readFile(join(folder, addonFile));
};
