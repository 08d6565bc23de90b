import { join } from 'node:path';
import type { Run } from '../../host/run.ts';
import { cached, cacheKey } from '../cache/cache.ts';

const suite = 'trixie';
const madeWithinMs = 3600_000;

/** The programs that the board runs, and those for its kernel packages, initramfs and boot loader. */
const packages = [
  ...[
    'systemd',
    'systemd-sysv',
    'udev',
    'dbus',
    'kmod',
    'procps',
    'iproute2',
    'e2fsprogs',
    'initramfs-tools',
  ],
  ...['openssh-server', 'rsync', 'curl', 'ca-certificates', 'zstd', 'libarchive-tools', 'libubootenv-tool'],
  ...['nodejs', 'gnupg', 'gpgv', 'pacman-package-manager', 'makepkg'],
] as const;

/** The mirror of this machine's own Debian packages. @throws {Error} if its apt names none. */
const debianMirror = async (run: Run): Promise<string> => {
  const format = '$(LABEL) $(REPO_URI)';
  const { stdout } = await run(['apt-get', 'indextargets', '--format', format, 'Created-By: Packages'], {
    quiet: true,
  });
  const [own] = stdout.split('\n').flatMap((line) => /^Debian (https?:\S+)$/.exec(line)?.[1] ?? []);
  if (own === undefined)
    throw new Error(
      'apt on this machine has no Debian archive over HTTP to make the board’s root from: name one in its sources, and run apt-get update',
    );
  return own;
};

/**
 * A root of Debian trixie for arm64 as a tar archive, without anything specific to this board. mmdebstrap makes it
 * once, which takes some minutes; then it is kept in the cache.
 * @returns the archive.
 */
export const baseRoot = async (
  run: Run,
  { cacheFolder, onProgress }: { cacheFolder: string; onProgress: (line: string) => void },
): Promise<string> => {
  const options = [
    ...['--architectures=arm64', '--variant=minbase', '--format=tar', '--skip=cleanup/tmp'],
    '--aptopt=Apt::Install-Recommends "false"',
    `--include=${packages.join(',')}`,
  ];
  const key = cacheKey(suite, ...options);
  const folder = await cached(cacheFolder, `board-root-${suite}-${key}`, async (into) => {
    const mirror = await debianMirror(run);
    onProgress(`making a root of Debian ${suite} for arm64 (five minutes; kept in ${cacheFolder})`);
    // In its own namespace, its mounts disappear with it, however it ends.
    await run(['unshare', '--mount', '--', 'mmdebstrap', ...options, suite, join(into, 'root.tar'), mirror], {
      timeoutMs: madeWithinMs,
    });
  });
  return join(folder, 'root.tar');
};
