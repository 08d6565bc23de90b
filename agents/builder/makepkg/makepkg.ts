import { chown, cp, lchown, lstat, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { BuilderConfig } from '../../../schemas/config.ts';
import { ProgramFailed, StepFailed } from '../../runtime/errors.ts';
import type { Ran, Run, RunOptions } from '../../runtime/run.ts';
import { askOnce } from './answers.ts';

/** Where a build happens. Every path is the same for every build of a pkgbase: `.BUILDINFO` records them. */
export interface BuildPlace {
  /** The folder with the PKGBUILD: makepkg's startdir. */
  packageFolder: string;
  /** BUILDDIR: makepkg's `src` and `pkg` are in its `<pkgbase>/`. */
  buildFolder: string;
  /** PKGDEST. */
  packagesFolder: string;
  /** HOME of the user that builds. */
  homeFolder: string;
  /** Held by every program that works in the place, for as long as one of its processes lives. */
  lockFile: string;
  /** SOURCE_DATE_EPOCH, in seconds, unless the host's config sets one. */
  epochSeconds: number;
}

export interface Makepkg {
  /** `.SRCINFO` of the PKGBUILD in a folder. It executes the PKGBUILD, as the unprivileged user. */
  printSrcinfo: (folder: string) => Promise<string>;
  /** The names of the package files that a build would make. */
  packageList: (folder: string) => Promise<string[]>;
  /** Verifies checksums, extracts the sources and runs `prepare()`, in a `src` that is not there yet. */
  prepare: (place: BuildPlace) => Promise<Ran>;
  /** Builds and packages what is in `src`. */
  build: (place: BuildPlace) => Promise<Ran>;
  /** Makes a folder and gives it, with all it holds, to the user that builds. */
  give: (folder: string) => Promise<void>;
  /** Runs another program as the user that builds, under the place's lock. */
  runInside: (place: BuildPlace, argv: readonly string[], options?: RunOptions) => Promise<Ran>;
}

const buildTimeoutMs = 6 * 3600_000;
const lockedExitCode = 75;

/** What makepkg's exit codes mean, and whose fault each is; from its `util/error.sh`. */
const meanings: Record<number, { fault: 'work' | 'host'; says: string }> = {
  1: { fault: 'work', says: 'a checksum does not match, or source and sums differ in number' },
  2: { fault: 'host', says: 'its configuration has an error' },
  3: { fault: 'host', says: 'this makepkg does not know an option' },
  4: { fault: 'work', says: 'a function of the PKGBUILD failed' },
  5: { fault: 'work', says: 'the package could not be made' },
  6: { fault: 'work', says: 'a source file is missing' },
  7: { fault: 'work', says: 'the folder to package is missing' },
  8: { fault: 'host', says: 'dependencies are missing' },
  10: { fault: 'host', says: 'makepkg refuses to run as root; name a user in makepkg.user' },
  11: { fault: 'host', says: 'its user may not write to a folder' },
  12: { fault: 'work', says: 'the PKGBUILD has an error, or is not for this architecture' },
  13: { fault: 'host', says: 'the package is there already' },
  15: { fault: 'host', says: 'a program that makepkg needs is missing' },
};

const plain = (line: string): string => line.replace(/^==>\s*ERROR:\s*/, '').trim();

/** makepkg's own words for what went wrong: its error lines, or the last line on stderr. */
const said = ({ stdout, stderr }: ProgramFailed): string => {
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
  const errors = lines
    .filter((line) => /==> ERROR:|\.\.\. FAILED$|PKGBUILD: line \d+: /.test(line))
    .map(plain);
  return errors.length > 0 ? errors.slice(0, 3).join('; ') : plain(stderr.trim().split('\n').at(-1) ?? '');
};

const outOfRoom = (error: unknown, what: string): StepFailed | undefined =>
  error instanceof ProgramFailed && /No space left on device/.test(`${error.stdout}\n${error.stderr}`)
    ? new StepFailed('host', `${what}: no space left on this host's disk`, { cause: error })
    : undefined;

/** What a failed makepkg means for the step; anything that another try may mend is thrown as it is. */
const judge = (error: unknown, what: string): unknown => {
  if (!(error instanceof ProgramFailed)) return error;
  const output = `${error.stdout}\n${error.stderr}`;
  const fail = (fault: 'work' | 'host', reason: string) => new StepFailed(fault, reason, { cause: error });
  if (/No space left on device/.test(output))
    return fail('host', `${what}: no space left on this host's disk`);
  if ((error.cause as { code?: string } | undefined)?.code === 'ENOENT')
    return fail('host', `${what}: ${error.program} is not installed on this host`);
  // Killed (by whom, nobody knows), timed out, or the network failed: the runtime tries again.
  if (error.exitCode === undefined || /Failure while downloading/.test(output)) return error;
  if (error.exitCode === lockedExitCode)
    return new Error(`${what}: another build still works in the same folder`, { cause: error });
  if (/^setpriv: /m.test(error.stderr))
    return fail('host', `${what}: this host can't become makepkg.user: ${said(error)}`);
  const meaning = meanings[error.exitCode];
  if (!meaning) return fail('work', `${what} ended with exit code ${error.exitCode}: ${said(error)}`);
  return fail(
    meaning.fault,
    `${what} ended with exit code ${error.exitCode}, ${meaning.says}: ${said(error)}`,
  );
};

/** The folder itself comes last: whoever finds it given knows that all it held was given too. */
const giveTree = async (path: string, uid: number, gid: number): Promise<void> => {
  const stat = await lstat(path);
  if (stat.uid === uid && stat.gid === gid) return;
  if (stat.isDirectory()) for (const name of await readdir(path)) await giveTree(join(path, name), uid, gid);
  await lchown(path, uid, gid);
};

/** No pkgbase begins with a dot. */
const copyPrefix = '.asked-';
const staleCopyMs = 3600_000;

/** A copy of a killed agent stays behind. */
const removeStaleCopy = async (path: string): Promise<void> => {
  if (!basename(path).startsWith(copyPrefix)) return;
  const found = await lstat(path).catch(() => undefined);
  if (found && Date.now() - found.mtimeMs > staleCopyMs) await rm(path, { recursive: true, force: true });
};

/**
 * The one place that runs makepkg: as `makepkg.user` if the agent is root, with an environment of its own.
 * Checksums are never skipped. Everything here throws {@link StepFailed} for what makepkg itself decides: `work`
 * for a bad PKGBUILD or build, with makepkg's own words; `host` for what this host lacks.
 */
export const createMakepkg = (run: Run, config: BuilderConfig): Makepkg => {
  const { user, carch, packager, sourcesFolder, environment } = config.makepkg;
  const isRoot = process.getuid?.() === 0;

  const unprivileged = (argv: readonly string[]): string[] => {
    if (!isRoot) return [...argv];
    if (!user)
      throw new StepFailed(
        'host',
        'the agent is root and makepkg refuses root: name an unprivileged user in makepkg.user of its config',
      );
    const identity = [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'];
    return ['setpriv', ...identity, '--', ...argv];
  };

  const give = async (folder: string) => {
    await mkdir(folder, { recursive: true });
    if (isRoot && user) await giveTree(folder, user.uid, user.gid);
  };

  const base = { CARCH: carch, PKGEXT: '.pkg.tar.zst', PACKAGER: packager };
  const placeEnvironment = (place: BuildPlace) => ({
    SOURCE_DATE_EPOCH: String(place.epochSeconds),
    ...environment,
    ...base,
    HOME: place.homeFolder,
    BUILDDIR: place.buildFolder,
    PKGDEST: place.packagesFolder,
    SRCDEST: sourcesFolder,
  });

  const giveSources = async () => {
    await mkdir(sourcesFolder, { recursive: true });
    if (isRoot && user) await chown(sourcesFolder, user.uid, user.gid);
  };

  /** Runs `look` in a copy that `makepkg.user` can read: the agent's own folders are closed to it. */
  const inCopy = async <Result>(folder: string, look: (copy: string) => Promise<Result>): Promise<Result> => {
    const { worktreesFolder } = config.makepkg;
    await mkdir(worktreesFolder, { recursive: true });
    for (const name of await readdir(worktreesFolder)) await removeStaleCopy(join(worktreesFolder, name));
    const copy = await mkdtemp(join(worktreesFolder, copyPrefix));
    try {
      await cp(folder, copy, { recursive: true, verbatimSymlinks: true });
      await give(copy);
      return await look(copy);
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  };

  const askIn = async (folder: string, option: string): Promise<string> => {
    // makepkg wants these to be writable, though it writes nothing when it is only asked.
    const writable = { HOME: folder, BUILDDIR: folder, PKGDEST: folder, SRCDEST: folder };
    const env = { ...environment, ...base, ...writable };
    const readable = await run(unprivileged(['test', '-r', join(folder, 'PKGBUILD')]), {
      exitCodes: [0, 1],
      quiet: true,
    }).catch((error: unknown) => Promise.reject(judge(error, 'test')));
    if (readable.exitCode !== 0)
      throw new StepFailed(
        'host',
        `makepkg.user can't read a PKGBUILD in ${folder}; every folder above has to be open to it (mode o+x)`,
      );
    const ran = await run(unprivileged(['makepkg', option]), { cwd: folder, env, quiet: true }).catch(
      (error: unknown) => Promise.reject(judge(error, `makepkg ${option}`)),
    );
    // bash says what it can't parse or run and goes on; makepkg then ends with 0 and half the facts.
    const complaint = ran.stderr.split('\n').find((line) => /PKGBUILD: line \d+: /.test(line));
    if (complaint !== undefined) throw new StepFailed('work', `makepkg ${option}: ${complaint.trim()}`);
    return ran.stdout;
  };
  const asked = (folder: string, option: string): Promise<string> =>
    askOnce(config, option, folder, () =>
      isRoot ? inCopy(folder, (copy) => askIn(copy, option)) : askIn(folder, option),
    );

  const runInside: Makepkg['runInside'] = async (place, argv, options = {}) => {
    // flock stays in the program's process group and holds the lock until the program ends. So a makepkg that
    // outlived its killed agent is waited for. The descriptor is not inherited (--close): fakeroot's daemon may
    // outlive a killed makepkg, and would hold it for ever.
    const lock = [
      'flock',
      '--close',
      '--timeout',
      '3600',
      '--conflict-exit-code',
      String(lockedExitCode),
      place.lockFile,
    ];
    return run(unprivileged([...lock, ...argv]), {
      env: placeEnvironment(place),
      timeoutMs: buildTimeoutMs,
      ...options,
    }).catch((error: unknown) => Promise.reject(outOfRoom(error, argv[0] ?? '') ?? error));
  };

  const stage = async (place: BuildPlace, what: string, options: readonly string[]): Promise<Ran> => {
    await giveSources();
    return runInside(place, ['makepkg', '--nodeps', '--skippgpcheck', '--nocolor', ...options], {
      cwd: place.packageFolder,
    }).catch((error: unknown) => Promise.reject(judge(error, what)));
  };

  return {
    printSrcinfo: (folder) => asked(folder, '--printsrcinfo'),
    packageList: async (folder) =>
      (await asked(folder, '--packagelist'))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.slice(line.lastIndexOf('/') + 1)),
    prepare: (place) => stage(place, 'makepkg --nobuild', ['--nobuild']),
    build: (place) => stage(place, 'makepkg --noextract', ['--noextract', '--force']),
    give,
    runInside,
  };
};
