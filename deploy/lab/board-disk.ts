import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Run } from '../../host/run.ts';
import { generateSshKey } from '../sshd.ts';
import { boardFiles, initramfsProgram, maskedGenerators, maskedUnits } from './board-files.ts';
import { makeDiskImage } from './disk-image.ts';
import { makeFlashImage } from './flash-image.ts';
import type { LabPlaces } from './lab-places.ts';

const diskBytes = 3 * 1024 ** 3;

/**
 * The parts of Debian's initramfs that only find drivers and check disks. Everything that mounts the root is in the
 * kernel.
 */
const leftOutOfInitramfs = ['hooks/udev', 'hooks/fsck', 'scripts/init-top/udev', 'scripts/init-bottom/udev'];

const ownUnits = ['systemd-networkd.service', 'ssh.service'];

/** Removes the root folder. @throws {Error} if something is mounted below it: the removal would empty that too. */
const removeRoot = async (root: string): Promise<void> => {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const below = mounts
    .map((line) => line.split(' ')[4] ?? '')
    .find((point) => `${point}/`.startsWith(`${root}/`));
  if (below !== undefined)
    throw new Error(
      `${below} is a mount point in the board's root folder, which is to be removed: unmount it first`,
    );
  await rm(root, { recursive: true, force: true });
};

/** Masks units like `systemctl mask`. */
const mask = async (folder: string, names: readonly string[]): Promise<void> => {
  await mkdir(folder, { recursive: true });
  for (const name of names) {
    await rm(join(folder, name), { force: true });
    await symlink('/dev/null', join(folder, name));
  }
};

const writeBoardFiles = async (
  places: LabPlaces,
  administratorKey: string,
  hostKey: string,
): Promise<void> => {
  const { root } = places;
  const files = boardFiles({
    administratorKey,
    hostKey: { secret: await readFile(places.hostKey, 'utf8'), public: hostKey },
    machineId: randomBytes(16).toString('hex'),
  });
  for (const { path, text, mode = 0o644 } of files) {
    const file = join(root, path);
    await mkdir(dirname(file), { recursive: true, mode: 0o755 });
    // The present file may be a link to another place.
    await rm(file, { force: true });
    await writeFile(file, text);
    await chmod(file, mode);
  }
  await chmod(join(root, 'root/.ssh'), 0o700);
  await mask(join(root, 'etc/systemd/system'), maskedUnits);
  await mask(join(root, 'etc/systemd/system-generators'), maskedGenerators);
  for (const name of leftOutOfInitramfs)
    await rm(join(root, 'usr/share/initramfs-tools', name), { force: true });
};

/**
 * Makes the virtual board's disk and flash as if new from its maker: Debian, the baseline kernel, a boot loader's
 * configuration, and an SSH server that accepts the administrator's key. No part of kernel-agent is on it. An
 * interrupted run is started from the beginning. The board is off meanwhile.
 * @param archive the archive of {@link baseRoot}.
 * @param fill installs pacman's configuration and the kernel into the root folder.
 * @returns the board's host key, `ssh-ed25519 AAAA…`.
 */
export const makeBoardDisk = async ({
  run,
  places,
  archive,
  fill,
  ports,
  onProgress,
}: {
  run: Run;
  places: LabPlaces;
  archive: string;
  fill: (root: string) => Promise<void>;
  ports: { board: number };
  onProgress: (line: string) => void;
}): Promise<string> => {
  const { root } = places;
  await removeRoot(root);
  for (const folder of [root, places.machine, dirname(places.consoleLog)])
    await mkdir(folder, { recursive: true });
  const administratorKey = await generateSshKey(places.administratorKey);
  const hostKey = await generateSshKey(places.hostKey);
  await writeFile(places.knownHosts, `[127.0.0.1]:${ports.board} ${hostKey}\n`);

  onProgress("filling the virtual board's root");
  await chmod(root, 0o755);
  await run([
    'tar',
    '--extract',
    '--preserve-permissions',
    '--numeric-owner',
    '--file',
    archive,
    '--directory',
    root,
  ]);
  await writeBoardFiles(places, administratorKey, hostKey);
  await run(['systemctl', `--root=${root}`, 'enable', ...ownUnits]);
  await run(['systemctl', `--root=${root}`, 'set-default', 'multi-user.target'], { quiet: true });
  await fill(root);
  onProgress("making the virtual board's initramfs, disk and flash");
  await run(['chroot', root, initramfsProgram]);
  await makeDiskImage(run, { folder: root, file: places.disk, sizeBytes: diskBytes });
  await makeFlashImage(run, places.flash);
  await removeRoot(root);
  return hostKey;
};
