import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { Refused } from '../../coordinator/refused.ts';
import type { Run } from '../../host/run.ts';
import { cached, cacheKey } from '../cache/cache.ts';
import { checkout } from '../checkout.ts';
import { type AddonTarget, compileAddon, ownTarget } from './node-gyp.ts';

export interface AddonOptions {
  cacheFolder: string;
  run: Run;
  /** A folder with `include/node/node.h` of the target's Node; if it is needed and absent, node-gyp fetches it. */
  nodeHeaders?: string;
  onProgress: (line: string) => void;
  /** better-sqlite3's folder. Default: this checkout's. */
  sources?: string;
}

export const addonFile = 'better_sqlite3.node';

/** The prefix of the cross compilers for each architecture, in Debian and Arch Linux. */
const crossCompilers: Readonly<Record<string, string>> = {
  arm64: 'aarch64-linux-gnu',
  x64: 'x86_64-linux-gnu',
};

const Lock = z.object({
  packages: z.object({ 'node_modules/better-sqlite3': z.object({ integrity: z.string() }) }),
});

const modules = createRequire(import.meta.url);

const compile = async (
  folder: string,
  sources: string,
  target: AddonTarget,
  { run, nodeHeaders }: AddonOptions,
): Promise<void> => {
  const { arch } = target;
  const work = join(folder, 'work');
  await cp(sources, work, { recursive: true, filter: (path) => path !== join(sources, 'build') });
  const prefix = crossCompilers[arch];
  const isCross = arch !== process.arch;
  if (isCross && prefix === undefined)
    throw new Refused(`the host's Node is for ${arch}, and an agent is made for arm64 and x64 alone`);
  await compileAddon(run, work, target, {
    home: folder,
    headers: nodeHeaders,
    env: isCross ? { CC: `${prefix}-gcc`, CXX: `${prefix}-g++`, AR: `${prefix}-ar` } : {},
  });
  await copyFile(join(work, 'build/Release', addonFile), join(folder, addonFile));
  await rm(work, { recursive: true, force: true });
};

/** Where better-sqlite3 is in this checkout. */
const sourcesFolder = (): string => dirname(modules.resolve('better-sqlite3/package.json'));

/** The addon of this checkout's own Node, and beside it the hash of the one that was compiled here. */
export const ownAddon = (sources = sourcesFolder()) => {
  const file = join(sources, 'build/Release', addonFile);
  return { file, compiled: `${file}.compiled` };
};

/** This checkout's own addon, if it is the one that was compiled here: npm might have fetched one from anywhere. */
const ownIfCompiled = async (sources: string): Promise<Buffer | undefined> => {
  const { file, compiled } = ownAddon(sources);
  if (!existsSync(file) || !existsSync(compiled)) return undefined;
  const bytes = await readFile(file);
  return hash('sha256', bytes, 'hex') === (await readFile(compiled, 'utf8')).trim() ? bytes : undefined;
};

/** The hash of better-sqlite3's archive, by which npm has checked the sources. */
const sourcesIntegrity = async (): Promise<string> => {
  const lock = JSON.parse(await readFile(join(checkout, 'package-lock.json'), 'utf8'));
  return Lock.parse(lock).packages['node_modules/better-sqlite3'].integrity;
};

const compileCached = async (
  target: AddonTarget,
  sources: string,
  options: AddonOptions,
): Promise<Buffer> => {
  const key = cacheKey(await sourcesIntegrity(), target.arch, target.abi);
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

/**
 * better-sqlite3's addon for the Node of a host, compiled from the sources that package-lock.json names by their hash:
 * this checkout's own if architecture and ABI are the same; otherwise one that is compiled here, which takes about a
 * minute and is cached.
 * @throws if it can't be compiled.
 */
export const sqliteAddon = async (target: AddonTarget, options: AddonOptions): Promise<Buffer> => {
  const { sources = sourcesFolder() } = options;
  const isOwn = target.arch === process.arch && target.abi === process.versions.modules;
  return (isOwn ? await ownIfCompiled(sources) : undefined) ?? compileCached(target, sources, options);
};

/** Compiles this checkout's own addon, for this Node. No script of a package is run for that. */
export const makeOwnAddon = async (options: AddonOptions): Promise<void> => {
  const { file, compiled } = ownAddon();
  const bytes = await compileCached(ownTarget(), sourcesFolder(), options);
  await mkdir(dirname(file), { recursive: true });
  await rm(compiled, { force: true });
  // A process that has the old one loaded keeps it.
  await writeFile(`${file}.part`, bytes);
  await rename(`${file}.part`, file);
  await writeFile(compiled, `${hash('sha256', bytes, 'hex')}\n`);
};
