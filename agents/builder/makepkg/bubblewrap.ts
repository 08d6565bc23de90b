import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, sep } from 'node:path';

/** A file or folder, and where a confined program sees it; a path alone is seen at the same path. */
export type Seen = string | { from: string; at: string };

/** What a confined program may touch. Apart from the system that it runs on, everything else is invisible. */
export interface Reach {
  /** Files and folders that it can read and can't change. */
  readable: readonly Seen[];
  /** Files and folders that it can change. */
  writable: readonly Seen[];
  /** Folders that it finds empty and may fill. They are gone when it ends. */
  empty?: readonly string[];
  network: boolean;
  /** The working folder, as it sees it: one of the above. Default: any. */
  cwd?: string;
}

/** What a confined program may not see, even inside a folder that it reads. */
export interface Secrets {
  files: readonly string[];
  folders: readonly string[];
}

/** The system: programs, headers, toolchains, and what pacman knows to be installed, which `.BUILDINFO` records. */
const systemFolders = ['/usr', '/opt', '/var/lib/pacman'];

/** Links into `/usr`, or folders of their own on a system that has not merged them. */
const mergedFolders = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/**
 * The parts of `/etc` that compilers, interpreters and makepkg read, one by one: a host's `/etc` also holds keys and
 * passwords, and even an agent that is not root can read its own.
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

/** Private keys inside the folders above. */
const systemSecrets = ['/etc/pacman.d/gnupg'];

const look = (path: string): Stats | undefined => {
  try {
    return lstatSync(path);
  } catch {
    return undefined; // not there, or not readable for this user
  }
};

const bind = (seen: Seen): { from: string; at: string } =>
  typeof seen === 'string' ? { from: seen, at: seen } : seen;

const isIn = (path: string, folder: string): boolean => path === folder || path.startsWith(folder + sep);

/** Makes the folders above a path, the highest first: folders that bwrap makes by itself are open only to root. */
const foldersAbove = (path: string): string[] => {
  const above: string[] = [];
  for (let folder = dirname(path); folder !== '/'; folder = dirname(folder)) above.unshift('--dir', folder);
  return above;
};

/**
 * Returns bwrap's argv (bubblewrap ≥ 0.5), up to the program: separate namespaces, and a root that holds only what is
 * named. When bwrap's first process ends, the program and everything that it has started
 * end too, and bwrap ends with its parent. The program stays in bwrap's process group.
 *
 * @param privileged Whether bwrap is started by root. Then the program starts as root too, with no power but to become
 * another user, which it has to do. Otherwise bwrap uses a user namespace, in which the user is the same as outside.
 */
export const bubblewrap = (
  { readable, writable, empty = [], network }: Reach,
  { files, folders }: Secrets,
  { privileged }: { privileged: boolean },
): string[] => {
  const system = [...systemFolders, ...etc, ...(network ? ['/etc/resolv.conf'] : [])];
  const named = [...readable, ...writable].map(bind);
  /** Where the program would see a secret that is inside what it may see. */
  const wouldSee = (secret: string): string[] => {
    if (!look(secret) || named.some(({ from }) => from === secret)) return [];
    const shown = [...system.map(bind), ...named].filter(({ from }) => isIn(secret, from));
    return [...new Set(shown.map(({ from, at }) => at + secret.slice(from.length)))];
  };
  const temporary = (folder: string) => ['--perms', '1777', '--tmpfs', folder];
  const mounts: { path: string; by: readonly string[] }[] = [
    ...system.map((path) => ({ path, by: ['--ro-bind-try', path, path] })),
    ...empty.map((path) => ({ path, by: temporary(path) })),
    ...readable.map(bind).map(({ from, at }) => ({ path: at, by: ['--ro-bind', from, at] })),
    ...writable.map(bind).map(({ from, at }) => ({ path: at, by: ['--bind', from, at] })),
    ...[...systemSecrets, ...folders].flatMap(wouldSee).map((path) => ({ path, by: ['--tmpfs', path] })),
    ...files.flatMap(wouldSee).map((path) => ({ path, by: ['--ro-bind', '/dev/null', path] })),
  ];
  // Outer paths come before inner ones: so a named path is visible even in a hidden folder, and a hidden path is hidden
  // even in a named folder.
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
