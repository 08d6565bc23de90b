import { readdir, readFile, readlink, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { hashFile } from '../../../host/hash-file.ts';
import { isThere } from '../../../host/is-there.ts';
import type { Ran, Run } from '../../../host/run.ts';
import type { BoardConfig } from '../../../schemas/config.ts';
import { type MtreeEntry, parseMtree } from '../../runtime/package/mtree.ts';
import type { PackageContent } from '../../runtime/package/package-file.ts';
import { alteredFiles } from './altered-files.ts';

/** An installed package, according to pacman's database. */
export interface InstalledEntry {
  version: string;
  arch: string;
  entries: MtreeEntry[];
  backup: ReadonlySet<string>;
  /** sha256 of its scriptlet; null if it has none. */
  scriptlet: string | null;
}

/** The board's pacman, always with a configuration without repositories. */
export interface Pacman {
  /** The installed package; undefined if it is not there, or is half installed, as a killed pacman leaves it. */
  installed(name: string): Promise<InstalledEntry | undefined>;
  /** The files of an installed package that are missing or differ from pacman's database. */
  altered(entry: InstalledEntry): Promise<string[]>;
  /** Whether exactly this package is installed, and every file of it is there as it was packed. */
  holds(content: PackageContent): Promise<boolean>;
  /** Whether a transaction holds the database, or was cut, in which case its hooks and scriptlets may not have run. */
  isLocked(): Promise<boolean>;
  /** Whether the first version is older than the second, by pacman's own vercmp. */
  isOlder(first: string, second: string): Promise<boolean>;
  /**
   * Waits until no living process holds this database.
   * @throws {Error} after 15 minutes.
   */
  quiet(): Promise<void>;
  /**
   * Clears away what a killed pacman leaves: the lock, and entries of these packages without `desc` or `files`. Waits
   * for a running pacman first. @returns the paths that were cleared.
   */
  mend(names: readonly string[]): Promise<string[]>;
  /**
   * Runs `pacman -U`. Its exit code proves neither success nor failure: check afterwards.
   * @param overwrite For a try after one that was cut, whose files are in the way and belong to no package.
   * @param acceptExpiredKey For callers that have verified these files with the pinned key. The signatures still have
   * to be good and by keys of pacman's keyring, but the keys may have expired.
   */
  upgrade(
    files: readonly string[],
    options: { overwrite: boolean; acceptExpiredKey?: boolean },
  ): Promise<Ran>;
}

const upgradeTimeoutMs = 30 * 60_000;
const quietWithinMs = 15 * 60_000;
const inflate = promisify(gunzip);

/** The values of a `%KEY%` block in pacman's `desc` and `files`. */
const blockOf = (text: string, key: string): string[] => {
  const lines = text.split('\n');
  const start = lines.indexOf(`%${key}%`);
  if (start < 0) return [];
  const end = lines.indexOf('', start);
  return lines.slice(start + 1, end < 0 ? undefined : end);
};

/** The processes that hold the lock open, or that were started with one of these configurations. */
const users = async (
  lock: string,
  command: readonly string[],
  configFiles: readonly string[],
): Promise<string[]> => {
  const found: string[] = [];
  // The kernel names open files by their real path.
  const held = await realpath(lock).catch(() => lock);
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    // A process that ends while it is looked at does not count.
    const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    const program = command.at(-1);
    if (program !== undefined && argv.includes(program) && configFiles.some((file) => argv.includes(file)))
      found.push(pid);
    else
      for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => []))
        if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')) === held) found.push(pid);
  }
  return found;
};

/** @throws {Error} after 15 minutes. */
const waitForUsers = async (...[lock, ...by]: Parameters<typeof users>): Promise<void> => {
  for (const until = performance.now() + quietWithinMs; ; await sleep(200)) {
    const pids = await users(lock, ...by);
    if (pids.length === 0) return;
    if (performance.now() > until)
      throw new Error(`pacman (process ${pids.join(', ')}) has held ${lock} for 15 minutes: look at it.`);
  }
};

const summaryOf = (entries: readonly MtreeEntry[]): string =>
  entries
    .map(({ path, type, sha256 = '', link = '' }) => [path, type, sha256, link].join('\0'))
    .toSorted()
    .join('\n');

/** Whether an installed package is exactly the one in this file, judged by their lists of files. */
export const isContentOf = (entry: InstalledEntry, content: PackageContent): boolean =>
  entry.version === content.version && summaryOf(entry.entries) === summaryOf(content.entries);

/** Reads the entry of an installed package in pacman's database; undefined if part of it is missing. */
const readEntry = async (entry: string, version: string): Promise<InstalledEntry | undefined> => {
  const texts = await Promise.all([
    readFile(join(entry, 'desc'), 'utf8'),
    readFile(join(entry, 'files'), 'utf8'),
    readFile(join(entry, 'mtree')).then(inflate),
  ]).catch(() => undefined);
  if (!texts) return undefined;
  const [desc, files, mtree] = texts;
  const scriptlet = await hashFile(join(entry, 'install')).then(
    ({ sha256 }) => sha256,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    },
  );
  return {
    version,
    arch: blockOf(desc, 'ARCH')[0] ?? 'any',
    entries: parseMtree(mtree.toString('utf8')),
    backup: new Set(blockOf(files, 'BACKUP').map((line) => line.split('\t')[0] ?? '')),
    scriptlet,
  };
};

/** Clears away the entries of these packages that a kill left without `desc` or `files`. @returns their paths. */
const clearHalfEntries = async (localFolder: string, names: readonly string[]): Promise<string[]> => {
  const cleared: string[] = [];
  for (const folder of await readdir(localFolder).catch(() => [])) {
    // `<name>-<pkgver>-<pkgrel>`: neither of the last two holds a dash.
    const name = folder.replace(/-[^-]*-[^-]*$/, '');
    const entry = join(localFolder, folder);
    if (!names.includes(name)) continue;
    if ((await isThere(join(entry, 'desc'))) && (await isThere(join(entry, 'files')))) continue;
    await rm(entry, { recursive: true });
    cleared.push(entry);
  }
  return cleared;
};

/** The configuration of a put-back, which accepts keys that have expired since. */
export const expiredKeyConfigFile = ({ stateFolder }: Pick<BoardConfig, 'stateFolder'>): string =>
  join(stateFolder, 'pacman-expired-key.conf');

/** Makes the board's pacman from its config. */
export const createPacman = (
  host: Pick<BoardConfig, 'root' | 'pacman' | 'stateFolder'>,
  run: Run,
): Pacman => {
  const { command, localConfigFile, databaseFolder } = host.pacman;
  const forExpiredKey = expiredKeyConfigFile(host);
  const lock = join(databaseFolder, 'db.lck');
  const localFolder = join(databaseFolder, 'local');
  const argv = [...command, '--config', localConfigFile];

  const installed: Pacman['installed'] = async (name) => {
    // After a kill, -Q lists a version that is half installed, so its entry has to be complete.
    const { stdout } = await run([...argv, '-Q', '--', name], { exitCodes: [0, 1], quiet: true });
    for (const line of stdout.split('\n')) {
      const [listed, version] = line.split(' ');
      if (listed !== name || version === undefined) continue;
      const entry = await readEntry(join(localFolder, `${name}-${version}`), version);
      if (entry) return entry;
    }
    return undefined;
  };

  const altered: Pacman['altered'] = ({ entries, backup }) => alteredFiles(run, host.root, entries, backup);

  const quiet = () => waitForUsers(lock, command, [localConfigFile, forExpiredKey]);

  return {
    installed,
    altered,
    quiet,
    async holds(content) {
      const entry = await installed(content.name);
      return entry !== undefined && isContentOf(entry, content) && (await altered(entry)).length === 0;
    },
    isLocked: () => isThere(lock),
    async isOlder(first, second) {
      return Number((await run(['vercmp', first, second], { quiet: true })).stdout) < 0;
    },
    async mend(names) {
      await quiet();
      const cleared: string[] = [];
      if (await isThere(lock)) {
        await rm(lock);
        cleared.push(lock);
      }
      return [...cleared, ...(await clearHalfEntries(localFolder, names))];
    },
    async upgrade(files, { overwrite, acceptExpiredKey = false }) {
      // pacman has no option for this. To gpg an expired key has unknown trust, which TrustAll accepts. It still
      // refuses bad signatures, and keys that are not in the keyring.
      if (acceptExpiredKey)
        await writeFile(
          forExpiredKey,
          `${await readFile(localConfigFile, 'utf8')}\n[options]\nLocalFileSigLevel = Required TrustAll\n`,
        );
      const config = acceptExpiredKey ? forExpiredKey : localConfigFile;
      const options = ['--noconfirm', '--noprogressbar', ...(overwrite ? ['--overwrite', '*'] : [])];
      return run([...command, '--config', config, '-U', ...options, '--', ...files], {
        outlive: true,
        exitCodes: [0, 1],
        timeoutMs: upgradeTimeoutMs,
      });
    },
  };
};
