import { chown, lchown, lstat, mkdir, readdir, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Ran, Run, RunOptions } from '../../../host/run.ts';
import type { BuilderConfig } from '../../../schemas/config.ts';
import type { StepEvidence } from '../../../schemas/steps.ts';
import { StepFailed } from '../../runtime/errors.ts';
import { parseSrcinfo } from '../pkgbuild/srcinfo.ts';
import { askOnce } from './answers.ts';
import type { Reach } from './bubblewrap.ts';
import { type BuildPlace, seenFrom, sourceBehind, spelledAsSeen } from './build-place.ts';
import { type Confinement, confinementOf } from './confinement.ts';
import { inCopy } from './in-copy.ts';
import { judge, lockedExitCode, outOfRoom } from './makepkg-failure.ts';
import { namedSources } from './sources.ts';

export interface Makepkg {
  /** `.SRCINFO` of the PKGBUILD in a folder. It executes the PKGBUILD, confined and without network. */
  printSrcinfo: (folder: string) => Promise<string>;
  /** The names of the package files that a build would make. */
  packageList: (folder: string) => Promise<string[]>;
  /** Fetches the sources, verifies checksums, extracts them and runs `prepare()`, in a `src` that is not there yet. */
  prepare: (place: BuildPlace) => Promise<Ran>;
  /** Builds and packages what is in `src`. */
  build: (place: BuildPlace) => Promise<Ran>;
  /** Makes a folder, and makes the user that builds the owner of it and of everything in it. */
  give: (folder: string) => Promise<void>;
  /** What confined the PKGBUILD's code. */
  confinement: (place: BuildPlace) => Promise<NonNullable<StepEvidence<'build'>['confinement']>>;
  /** What the sources that were fetched are called in the sources' folder. */
  fetchedSources: (place: BuildPlace) => Promise<string[]>;
  /** Where a link in a place leads to, spelled as confined programs see it. */
  spelled: (place: BuildPlace) => (link: string) => string;
  /** The file to which a link leads that makepkg has made for a source; undefined for other links. */
  sourceBehind: (link: string) => string | undefined;
  /** Runs another program as the user that builds, under the place's lock. */
  runInside: (place: BuildPlace, argv: readonly string[], options?: RunOptions) => Promise<Ran>;
}

const buildTimeoutMs = 6 * 3600_000;
/** The folder itself comes last: if it has the new owner, everything in it has, too. */
const giveTree = async (path: string, uid: number, gid: number): Promise<void> => {
  const stat = await lstat(path);
  if (stat.uid === uid && stat.gid === gid) return;
  if (stat.isDirectory()) for (const name of await readdir(path)) await giveTree(join(path, name), uid, gid);
  await lchown(path, uid, gid);
};

/** Whether a link leads to a part of the system, as when a distribution packages a source. */
const isOfSystem = async (path: string): Promise<boolean> => {
  const target = await realpath(path).catch(() => undefined);
  return target !== undefined && /^\/(usr|opt)\//.test(target);
};

/** Where a confined fetch may write. Nothing of that stays. */
const scratchFolder = '/tmp';

/** The part of makepkg's environment that is the same for every run. */
const baseEnvironment = ({ makepkg: { carch, packager, environment }, keep }: BuilderConfig) => ({
  // ccache cleans up after itself. The environment's own word on it counts.
  ...(environment.CCACHE_DIR !== undefined && {
    CCACHE_MAXSIZE: environment.CCACHE_MAXSIZE ?? `${Math.floor(keep.ccache.bytes / 1024)}Ki`,
  }),
  CARCH: carch,
  PKGEXT: '.pkg.tar.zst',
  PACKAGER: packager,
});

/** Makes folders that belong to the user that builds. */
const createGive = ({ makepkg: { user } }: BuilderConfig) => {
  const isRoot = process.getuid?.() === 0;
  return {
    /** The folder alone. */
    async top(folder: string) {
      await mkdir(folder, { recursive: true });
      if (isRoot && user) await chown(folder, user.uid, user.gid);
    },
    /** The folder and everything in it. */
    async whole(folder: string) {
      await mkdir(folder, { recursive: true });
      if (isRoot && user) await giveTree(folder, user.uid, user.gid);
    },
  };
};

/** Asks a makepkg in a folder that it may write to. @throws {StepFailed} */
const askIn = async (run: Run, config: BuilderConfig, folder: string, option: string): Promise<string> => {
  const { wrap } = await confinementOf(config);
  const reach: Reach = { readable: [], writable: [folder], network: false, cwd: folder };
  // makepkg requires these to be writable, although it writes nothing for a mere question.
  const writable = { HOME: folder, BUILDDIR: folder, PKGDEST: folder, SRCDEST: folder };
  const env = { ...config.makepkg.environment, ...baseEnvironment(config), ...writable };
  const readable = await run(wrap(['test', '-r', join(folder, 'PKGBUILD')], reach), {
    exitCodes: [0, 1],
    quiet: true,
  }).catch((error: unknown) => Promise.reject(judge(error, 'test')));
  if (readable.exitCode !== 0)
    throw new StepFailed(
      'host',
      `makepkg.user can't read a PKGBUILD in ${folder}; every folder above has to be open to it (mode o+x)`,
    );
  const ran = await run(wrap(['makepkg', option], reach), { cwd: folder, env, quiet: true }).catch(
    (error: unknown) => Promise.reject(judge(error, `makepkg ${option}`)),
  );
  // bash reports what it can't parse or run and goes on; makepkg then ends with 0 and half the facts.
  const complaint = ran.stderr.split('\n').find((line) => /PKGBUILD: line \d+: /.test(line));
  if (complaint !== undefined) throw new StepFailed('work', `makepkg ${option}: ${complaint.trim()}`);
  return ran.stdout;
};

/** Runs programs under a place's lock, as the user that builds, within a reach. */
const createRunWithin = (run: Run, config: BuilderConfig) => {
  const { sourcesFolder, environment } = config.makepkg;
  const environmentOf = (place: BuildPlace, by: Confinement['by']) => {
    const seen = seenFrom(by, place, sourcesFolder);
    return {
      SOURCE_DATE_EPOCH: String(place.epochSeconds),
      ...environment,
      ...baseEnvironment(config),
      HOME: seen.homeFolder,
      BUILDDIR: seen.buildFolder,
      PKGDEST: seen.packagesFolder,
      SRCDEST: seen.sourcesFolder,
    };
  };
  return async (
    place: BuildPlace,
    argv: readonly string[],
    reach: Reach,
    { env = {}, ...options }: RunOptions,
  ): Promise<Ran> => {
    const { wrap, by } = await confinementOf(config);
    // flock stays in the program's process group and holds the lock until the program ends. So a makepkg that outlived
    // its killed agent is waited for, and what bwrap confines ends with flock. The descriptor is not inherited
    // (--close): fakeroot's daemon may outlive a killed makepkg, and would hold the lock for ever.
    const lock = [
      'flock',
      '--close',
      '--timeout',
      '3600',
      '--conflict-exit-code',
      String(lockedExitCode),
      place.lockFile,
    ];
    return run([...lock, ...wrap(argv, reach)], {
      timeoutMs: buildTimeoutMs,
      ...options,
      env: { ...environmentOf(place, by), ...env },
    });
  };
};

/** Those of the shared sources that a package names. */
const ownSources = async (sourcesFolder: string, files: ReadonlySet<string>): Promise<string[]> => {
  const there = (await readdir(sourcesFolder, { withFileTypes: true })).filter(({ name }) => files.has(name));
  const sources: string[] = [];
  for (const entry of there) {
    const path = join(sourcesFolder, entry.name);
    // A PKGBUILD may have made a link while it had network, and bwrap would follow it outside. So a link counts only if
    // it leads to a part of the system that every program sees anyway.
    if (entry.isFile() || entry.isDirectory() || (await isOfSystem(path))) sources.push(path);
  }
  return sources;
};

/** What a stage may touch besides its package, the sources' folder and its own home. */
interface Stage {
  /** The sources that its package names: of the others it sees none. */
  files: ReadonlySet<string>;
  /** Whether it may use the compiler's cache: what nobody has approved may plant nothing there. */
  usesCache?: boolean;
  writable?: readonly { from: string; at: string }[];
}

/** makepkg's stages: one that fetches with network, and those without network. */
const createStages = (config: BuilderConfig, runWithin: ReturnType<typeof createRunWithin>) => {
  const { sourcesFolder, environment } = config.makepkg;
  const cacheFolder = environment.CCACHE_DIR;
  const give = createGive(config);
  const seen = async (place: BuildPlace) => {
    const { by } = await confinementOf(config);
    return { by, at: seenFrom(by, place, sourcesFolder) };
  };
  const run = async (
    place: BuildPlace,
    options: readonly string[],
    reach: Omit<Reach, 'readable'> & { readable?: Reach['readable'] },
    env = {},
  ): Promise<Ran> => {
    const [what = ''] = options;
    const { by, at } = await seen(place);
    const argv = ['makepkg', '--nodeps', '--skippgpcheck', '--nocolor', ...options];
    const package_ = { from: place.packageFolder, at: at.packageFolder };
    const readable = [package_, ...(reach.readable ?? [])];
    const within = { ...reach, readable, cwd: at.packageFolder };
    return runWithin(place, argv, within, { cwd: place.packageFolder, env }).catch((error: unknown) =>
      Promise.reject(judge(error, `makepkg ${what}`, { offline: by === 'bwrap' && !reach.network })),
    );
  };
  return {
    async fetch(place: BuildPlace): Promise<Ran> {
      const { by, at } = await seen(place);
      const reach = { writable: [{ from: sourcesFolder, at: at.sourcesFolder }], network: true };
      const env = by === 'bwrap' ? { HOME: scratchFolder, BUILDDIR: scratchFolder } : {};
      return run(place, ['--verifysource', '--nobuild'], reach, env);
    },
    async offline(place: BuildPlace, options: readonly string[], stage: Stage): Promise<Ran> {
      const { at } = await seen(place);
      const cache = stage.usesCache && cacheFolder !== undefined ? [cacheFolder] : [];
      for (const folder of cache) await give.top(folder);
      const sources = await ownSources(sourcesFolder, stage.files);
      return run(place, options, {
        readable: sources.map((from) => ({ from, at: join(at.sourcesFolder, basename(from)) })),
        writable: [{ from: place.buildFolder, at: at.buildFolder }, ...cache, ...(stage.writable ?? [])],
        empty: [at.sourcesFolder, at.homeFolder],
        network: false,
      });
    },
  };
};

/**
 * The one place that runs makepkg: as `makepkg.user` if the agent is root, with its own environment, and confined if
 * this host can do that (`confinement.ts`).
 *
 * Reading a PKGBUILD means running it, so even a question is asked without network. A separate makepkg fetches the
 * sources: it has network and runs the PKGBUILD's top level and verify(), but reaches no key, and of the folders that
 * are used later only the sources'. A later makepkg sees only the sources that `.SRCINFO` names, and checks their sums.
 *
 * Checksums are never skipped. Everything here throws {@link StepFailed} if makepkg itself fails: `work` for a bad
 * PKGBUILD or build, with makepkg's own words; `host` for what this host lacks.
 */
export const createMakepkg = (run: Run, config: BuilderConfig): Makepkg => {
  const { sourcesFolder, worktreesFolder } = config.makepkg;
  const give = createGive(config);
  const runWithin = createRunWithin(run, config);
  const stages = createStages(config, runWithin);
  const asked = (folder: string, option: string): Promise<string> =>
    askOnce(config, option, folder, () =>
      inCopy(folder, worktreesFolder, async (copy) => {
        await give.whole(copy);
        return askIn(run, config, copy, option);
      }),
    );
  const sourcesOf = async (place: BuildPlace) =>
    namedSources(parseSrcinfo(await asked(place.packageFolder, '--printsrcinfo')));

  return {
    printSrcinfo: (folder) => asked(folder, '--printsrcinfo'),
    packageList: async (folder) =>
      (await asked(folder, '--packagelist'))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.slice(line.lastIndexOf('/') + 1)),
    prepare: async (place) => {
      await give.top(sourcesFolder);
      const { files, fetched: remote } = await sourcesOf(place);
      const fetched = remote.size > 0 ? await stages.fetch(place) : { stdout: '', stderr: '' };
      // Fetched sources are not updated (--holdver): there is no network.
      const prepared = await stages.offline(place, ['--nobuild', '--holdver'], { files });
      return {
        exitCode: prepared.exitCode,
        stdout: fetched.stdout + prepared.stdout,
        stderr: fetched.stderr + prepared.stderr,
      };
    },
    build: async (place) => {
      const { files } = await sourcesOf(place);
      const { by } = await confinementOf(config);
      const at = seenFrom(by, place, sourcesFolder).packagesFolder;
      const writable = [{ from: place.packagesFolder, at }];
      return stages.offline(place, ['--noextract', '--force'], { files, usesCache: true, writable });
    },
    give: give.whole,
    confinement: async (place) => {
      const { by, uid } = await confinementOf(config);
      return { by, uid, network: by === 'none', fetched: (await sourcesOf(place)).fetched.size > 0 };
    },
    fetchedSources: async (place) => [...(await sourcesOf(place)).fetched],
    sourceBehind: (link) => sourceBehind(link, sourcesFolder),
    spelled: (place) => (link) => spelledAsSeen(link, place, sourcesFolder),
    runInside: async (place, argv, options = {}) => {
      await give.top(sourcesFolder);
      const writable = [place.buildFolder, place.keptFolder, place.freshFolder];
      const reach: Reach = { readable: [sourcesFolder], writable, network: false };
      return runWithin(place, argv, reach, options).catch((error: unknown) =>
        Promise.reject(outOfRoom(error, argv[0] ?? '') ?? error),
      );
    },
  };
};
