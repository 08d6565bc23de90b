import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { hashFile } from '../../host/hash-file.ts';
import { createRun } from '../../host/run.ts';
import { cached } from '../cache/cache.ts';
import { checkout } from '../checkout.ts';
import type { Making, SandboxExample } from './example.ts';
import { makeBareRepository } from './git-repository.ts';
import { fillFile, fillFolder } from './template.ts';

const folder = join(checkout, 'examples/linux');
/** From Debian's package linux-source-6.1. */
const tarball = '/usr/src/linux-source-6.1.tar.xz';
const tree = basename(tarball, '.tar.xz');
const quiet = createRun(() => undefined);

const packageFolder = 'arch/linux-fresnel-fourier';

/** The folder of this example's filled templates. */
const filled = ({ places }: Making, name: string) => join(places.folder, 'filled', name);

let tarballHash: Promise<string> | undefined;
const tarballSha256 = (): Promise<string> => {
  tarballHash ??= hashFile(tarball).then(
    ({ sha256 }) => sha256,
    (cause: unknown) => {
      throw new Error(`${tarball} can't be read; install Debian's package linux-source-6.1`, { cause });
    },
  );
  return tarballHash;
};

const versionOf = (makefile: string): string => {
  const value = (name: string) => new RegExp(`^${name} = (\\d+)$`, 'm').exec(makefile)?.[1];
  return [value('VERSION'), value('PATCHLEVEL'), value('SUBLEVEL')].join('.');
};

/**
 * Debian's tree as a bare repository, made once for each tarball: unpacking and adding its 80,000 files takes a
 * minute. `bigFileThreshold` streams the blobs into one pack; `compression=1` halves the time.
 */
const kernelRepository = async ({ places, cacheFolder, onProgress }: Making, sha256: string) => {
  const kept = await cached(cacheFolder, `linux-${sha256.slice(0, 16)}`, async (into) => {
    onProgress(`unpacking ${tarball} and making a git repository of it`);
    const unpacked = join(places.folder, 'unpacked');
    await rm(unpacked, { recursive: true, force: true });
    await mkdir(unpacked, { recursive: true });
    await quiet(['bsdtar', '-xf', tarball, '-C', unpacked], { timeoutMs: 1800_000 });
    const version = versionOf(await readFile(join(unpacked, tree, 'Makefile'), 'utf8'));
    const commit = await makeBareRepository(
      quiet,
      join(into, 'kernel.git'),
      join(unpacked, tree),
      {
        author: 'Debian Kernel Team',
        email: 'debian-kernel@lists.debian.org',
        date: '2026-01-01T00:00:00Z',
        message: `Linux ${version}, as Debian ships it`,
        tag: `v${version}`,
      },
      ['core.bigFileThreshold=1', 'core.compression=1'],
    );
    await writeFile(join(into, 'facts.json'), JSON.stringify({ version, commit }));
    await rm(unpacked, { recursive: true, force: true });
  });
  const facts = JSON.parse(await readFile(join(kept, 'facts.json'), 'utf8')) as {
    version: string;
    commit: string;
  };
  return { repository: join(kept, 'kernel.git'), ...facts };
};

const plans = ['plan.yaml', 'plan-second.yaml'] as const;

/**
 * Writes both filled plans into a folder, with the series beside them: a plan names its patches relative to itself. The
 * second series is the first with its new patches over it. Returns the plans' files.
 */
export const placePlans = async (
  to: string,
  values: Readonly<Record<'PKGVER' | 'COMMIT', string>>,
): Promise<string[]> => {
  await mkdir(to, { recursive: true });
  for (const [from, into] of [
    ['patches', 'patches'],
    ['patches', 'second'],
    ['second', 'second'],
  ] as const)
    await cp(join(folder, from), join(to, into), { recursive: true });
  for (const name of plans) await fillFile(join(folder, `${name}.in`), join(to, name), values);
  return plans.map((name) => join(to, name));
};

/** The members in which examples on the real kernel differ. */
type OnLinux = Pick<SandboxExample, 'name' | 'board' | 'planFiles'> & {
  /** The initial content of the campaign's repository. */
  campaignFolder: string;
  /** Writes the plans, with the series beside them, into a folder. */
  placePlans(to: string, values: Readonly<Record<'PKGVER' | 'COMMIT', string>>): Promise<unknown>;
};

/**
 * An example on Debian's Linux 6.1. All of them share the kernel, its package and everything that was built from it.
 */
export const exampleOnLinux = ({ campaignFolder, placePlans: place, ...own }: OnLinux): SandboxExample => ({
  ...own,
  kernelOf: 'linux',
  repositories: ['kernel', 'kernel-agent', 'marfrit-packages', 'campaign'],
  makeRepositories: async (making) => {
    const { places } = making;
    const sha256 = await tarballSha256();
    const kernel = await kernelRepository(making, sha256);
    await mkdir(places.git, { recursive: true });
    // From a path on the same file system, git links the objects instead of copying them.
    await quiet(['git', 'clone', '--quiet', '--bare', kernel.repository, places.repository('kernel')]);
    const values = { PKGVER: kernel.version, TARBALL_SHA256: sha256, COMMIT: kernel.commit };
    for (const [name, content, from] of [
      ['kernel-agent', 'manifest', join(folder, 'manifest')],
      ['marfrit-packages', 'package', join(folder, 'package')],
      ['campaign', 'campaign', campaignFolder],
    ] as const) {
      await fillFolder(from, filled(making, content), values);
      await makeBareRepository(quiet, places.repository(name), filled(making, content), {
        author: 'Markus Fritsche',
        email: 'mfritsche@example.org',
        date: '2026-05-01T00:00:00Z',
        message: `${name}: as of linux-fresnel-fourier ${kernel.version}-1`,
      });
    }
    await place(places.plan, values);
  },
  // makepkg accepts a link as well as the file, which saves 140 MB per builder.
  makeSources: (_making, sources) => symlink(tarball, join(sources, basename(tarball))),
  carch: 'aarch64',
  makepkgEnvironment: { MAKEFLAGS: `-j${availableParallelism()}` },
  package: {
    repository: 'marfrit-packages',
    folder: packageFolder,
    names: ['linux-fresnel-fourier', 'linux-fresnel-fourier-headers'],
  },
  packageFolder: (making) => join(filled(making, 'package'), packageFolder),
  // The PKGBUILD names the tarball's hash; only the compiler is not in it.
  baselineKey: async () => (await quiet(['aarch64-linux-gnu-gcc', '--version'])).stdout,
  // rsync and make could handle another tree, but nothing of the old one is worth keeping.
  worktreesKey: async () => (await tarballSha256()).slice(0, 16),
});

/** Iteration 5 on Debian's Linux 6.1, in two iterations: the series, and then one driver's patch again. */
export const exampleLinux = exampleOnLinux({
  name: 'linux',
  campaignFolder: join(folder, 'campaign'),
  placePlans,
  board: {
    bootFolder: join(folder, 'boot'),
    sweepCommand: ({ root }) => [process.execPath, join(folder, 'sweep.mjs'), '--root', root],
    fixturesFolder: undefined,
  },
  planFiles: ({ plan }) => plans.map((name) => join(plan, name)),
});
