import { copyFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { trialBootLine } from '../../agents/board/boot-loader/u-boot-environment.ts';
import type { Run } from '../../host/run.ts';
import { checkout } from '../checkout.ts';
import { makeOpenFolder } from './baseline.ts';
import { folderBoardOf, type SandboxExample } from './example.ts';
import { repositoryName, type SandboxPlaces } from './places.ts';
import { asPacmanUser } from './signing-key.ts';

/** The board's own kernel, as the package and extlinux.conf name it. */
export const bootFiles = {
  image: '/boot/Image-fresnel-fourier',
  initramfs: '/boot/initramfs-fresnel-fourier.img',
  deviceTrees: '/boot/dtbs-fresnel-fourier',
  extlinux: '/boot/extlinux/extlinux.conf',
  /** The label in it that boots them. */
  label: 'fourier',
} as const;

/** The variable of U-Boot's environment that names the label to try once. */
export const trialVariable = 'ka_trial';

/** How U-Boot's environment is read and written: fw_printenv(1), fw_setenv(1). */
export const environmentCommand = (
  { board }: SandboxPlaces,
  program: 'fw_printenv' | 'fw_setenv',
): string[] => [program, '--config', board.environmentConfig];

/** In bytes, as U-Boot for QEMU's virt machine has it. */
const environmentBytes = 0x40000;

/** A board whose flash holds U-Boot's environment, as `saveenv` leaves it, and whose hardware has nothing to report. */
const makeHardware = async (run: Run, places: SandboxPlaces): Promise<void> => {
  const { board } = places;
  for (const file of [board.environment, board.watchdogStatus]) await makeOpenFolder(dirname(file));
  for (const folder of [board.pstore, join(board.interfaces, 'lo'), join(board.interfaces, 'eth0')])
    await makeOpenFolder(folder);
  await writeFile(join(board.interfaces, 'lo/operstate'), 'unknown\n');
  await writeFile(join(board.interfaces, 'eth0/operstate'), 'up\n');
  await writeFile(board.routes, 'Iface\tDestination\tGateway\neth0\t00000000\t0202000A\n');
  await writeFile(board.watchdogStatus, '0\n');
  await writeFile(board.environment, Buffer.alloc(environmentBytes));
  await writeFile(board.environmentConfig, `${board.environment} 0x0 0x${environmentBytes.toString(16)}\n`);
  const initial = `${board.environment}.txt`;
  await writeFile(initial, `bootcmd=${trialBootLine(trialVariable)}\n`);
  const set = environmentCommand(places, 'fw_setenv');
  await run([...set, '--defenv', initial, 'bootdelay', '2']);
};

export const pacmanCommand = asPacmanUser(['pacman']);

export const initramfsCommand = (places: SandboxPlaces): string[] => [
  join(checkout, 'deploy/sandbox/mkinitramfs'),
  places.root,
  bootFiles.image,
  bootFiles.initramfs,
];

/** Both of pacman's configurations, as text: with the fleet's repository, and without one for `-U`. */
export const pacmanConfigs = (
  paths: { root: string } & Record<'database' | 'cache' | 'log' | 'gpg' | 'hooks', string>,
  { carch, repositoryUrl }: { carch: string; repositoryUrl: string },
): { withRepository: string; local: string } => {
  const local = `# Written by kernel-agent, for a board of its own.
[options]
RootDir = ${paths.root}
DBPath = ${paths.database}
CacheDir = ${paths.cache}
LogFile = ${paths.log}
GPGDir = ${paths.gpg}
HookDir = ${paths.hooks}
Architecture = ${carch}
SigLevel = Required DatabaseRequired
LocalFileSigLevel = Required
`;
  return { local, withRepository: `${local}\n[${repositoryName}]\nServer = ${repositoryUrl}\n` };
};

/** Writes both for the board's root as this machine reaches it. */
export const writePacmanConfigs = async (
  { board, root }: SandboxPlaces,
  of: { carch: string; repositoryUrl: string },
): Promise<void> => {
  const { local, withRepository } = pacmanConfigs({ root, ...board }, of);
  await writeFile(board.localPacmanConfig, local);
  await writeFile(board.pacmanConfig, withRepository);
};

/** The board's root, empty: pacman's folders and the boot loader's config; and the hardware around it. */
export const makeBoardRoot = async (
  run: Run,
  places: SandboxPlaces,
  example: SandboxExample,
): Promise<void> => {
  const { board, root } = places;
  for (const folder of [root, board.database, board.cache, board.hooks, join(root, 'boot/extlinux')])
    await makeOpenFolder(folder);
  await makeOpenFolder(join(root, 'var/log'));
  await copyFile(join(folderBoardOf(example).bootFolder, 'extlinux.conf'), board.extlinux);
  await makeHardware(run, places);
};

/**
 * Installs the baseline from the repository over HTTP, as the board's people did before iteration 5 began. pacman keeps
 * the package file in its cache, from where a backup takes it.
 * @throws {Error} if pacman says it is done and the packages are not there.
 */
export const installBaseline = async (
  run: Run,
  places: SandboxPlaces,
  example: SandboxExample,
): Promise<string> => {
  const pacman = (...args: string[]) =>
    run([...pacmanCommand, '--config', places.board.pacmanConfig, ...args], { quiet: args[0] === '-Q' });
  await pacman('-Sy', '--noconfirm', '--noprogressbar', '--', ...example.package.names);
  const { stdout } = await pacman('-Q', '--', ...example.package.names);
  const versions = new Set(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[1] ?? ''),
  );
  const [version, other] = versions;
  if (version === undefined || other !== undefined)
    throw new Error(`after the install, pacman -Q says "${stdout.trim()}"`);
  return version;
};
