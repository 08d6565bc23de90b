import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, sep } from 'node:path';

/** What a confined program may touch. All else, but for the system that it runs on, is not there. */
export interface Reach {
  /** Files and folders that are there, at the same path, and can't be changed. */
  readable: readonly string[];
  /** Those that can be. */
  writable: readonly string[];
  /** Folders that it finds empty and may fill; they are gone with it. */
  empty?: readonly string[];
  network: boolean;
  /** The working folder: one of the above. Default: any. */
  cwd?: string;
}

/** What it may not see even where it lies in a folder that it reads. */
export interface Secrets {
  files: readonly string[];
  folders: readonly string[];
}

/** The system: programs, headers, toolchains, and what pacman knows to be installed, which `.BUILDINFO` records. */
const systemFolders = ['/usr', '/opt', '/var/lib/pacman'];

/** Links into `/usr`, or folders of their own on a system that has not merged them. */
const mergedFolders = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/**
 * What compilers, interpreters and makepkg read of `/etc`, by name: a host's `/etc` holds keys and passwords too, and an
 * agent that is not root can read its own.
 */
const etc = [
  ...['passwd', 'group', 'nsswitch.conf', 'host.conf', 'hosts', 'gai.conf', 'protocols', 'services'],
  ...[
    'localtime',
    'timezone',
    'os-release',
    'profile',
    'profile.d',
    'inputrc',
    'terminfo',
    'magic',
    'mime.types',
  ],
  ...['ld.so.cache', 'ld.so.conf', 'ld.so.conf.d', 'alternatives', 'gitconfig', 'ccache.conf'],
  ...['makepkg.conf', 'makepkg.conf.d', 'makepkg.d', 'pacman.conf', 'pacman.d'],
  ...['ssl/certs', 'ssl/openssl.cnf', 'ca-certificates', 'pki/ca-trust', 'crypto-policies'],
  ...['perl', 'python3', 'fonts', 'texmf', 'xml', 'sgml'],
].map((name) => `/etc/${name}`);

/** Private keys that stand in what is bound above. */
const systemSecrets = ['/etc/pacman.d/gnupg'];

const look = (path: string): Stats | undefined => {
  try {
    return lstatSync(path);
  } catch {
    return undefined; // not there, or closed to whoever runs this
  }
};

const isIn = (path: string, folder: string): boolean => path === folder || path.startsWith(folder + sep);

/** Makes the folders above a path, the highest first: those that bwrap makes by itself are open to root alone. */
const foldersAbove = (path: string): string[] => {
  const above: string[] = [];
  for (let folder = dirname(path); folder !== '/'; folder = dirname(folder)) above.unshift('--dir', folder);
  return above;
};

/**
 * bwrap's argv (bubblewrap ≥ 0.5), up to the program: namespaces of its own, a root that holds what is named and nothing
 * else, at the paths that it has outside. The program ends with all that it has started when bwrap's first process does, and
 * that ends with whoever started it. It stays in bwrap's process group.
 *
 * @param privileged Whether bwrap is started by root. Then what it starts is root too, able to do nothing but become another
 * user, and has to. Otherwise it takes a user namespace, in which the user is who it is outside.
 */
export const bubblewrap = (
  { readable, writable, empty = [], network }: Reach,
  { files, folders }: Secrets,
  { privileged }: { privileged: boolean },
): string[] => {
  const system = [...systemFolders, ...etc, ...(network ? ['/etc/resolv.conf'] : [])];
  const named = [...readable, ...writable];
  const hidden = (secret: string) =>
    look(secret) && !named.includes(secret) && [...system, ...named].some((path) => isIn(secret, path));
  const temporary = (folder: string) => ['--perms', '1777', '--tmpfs', folder];
  const mounts: { path: string; by: readonly string[] }[] = [
    ...system.map((path) => ({ path, by: ['--ro-bind-try', path, path] })),
    ...empty.map((path) => ({ path, by: temporary(path) })),
    ...readable.map((path) => ({ path, by: ['--ro-bind', path, path] })),
    ...writable.map((path) => ({ path, by: ['--bind', path, path] })),
    ...[...systemSecrets, ...folders].filter(hidden).map((path) => ({ path, by: ['--tmpfs', path] })),
    ...files.filter(hidden).map((path) => ({ path, by: ['--ro-bind', '/dev/null', path] })),
  ];
  // A path after those that it lies in: what is named is there even in a folder that is hidden, and what is hidden is not
  // there even in a folder that is named.
  mounts.sort((one, other) => (one.path < other.path ? -1 : 1));
  return [
    'bwrap',
    '--die-with-parent',
    ...['--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    ...(network ? [] : ['--unshare-net']),
    ...(privileged
      ? ['--cap-drop', 'ALL', '--cap-add', 'CAP_SETUID', '--cap-add', 'CAP_SETGID']
      : ['--unshare-user']),
    ...['--proc', '/proc', '--dev', '/dev'],
    ...['/dev/shm', '/tmp', '/var/tmp'].flatMap((folder) => [...foldersAbove(folder), ...temporary(folder)]),
    ...mergedFolders.flatMap((folder) => {
      const isLink = look(folder)?.isSymbolicLink();
      return isLink ? ['--symlink', readlinkSync(folder), folder] : ['--ro-bind-try', folder, folder];
    }),
    ...mounts.flatMap(({ path, by }) => [...foldersAbove(path), ...by]),
    ...['--remount-ro', '/', '--'],
  ];
};
