import { copyFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { trialBootLine } from '../../agents/board/boot-loader/u-boot-environment.ts';
import type { Run } from '../../host/run.ts';
import { checkout } from '../checkout.ts';
import { folderBoardOf, type SandboxExample } from '../examples/example.ts';
import { bootFiles, trialVariable } from '../local-fleet/board/boot-files.ts';
import { makeOpenFolder } from '../local-fleet/open-folder.ts';
import type { SandboxPlaces } from '../places/sandbox-places.ts';

/** The command that reads or writes U-Boot's environment: fw_printenv(1), fw_setenv(1). */
export const environmentCommand = (
  { board }: SandboxPlaces,
  program: 'fw_printenv' | 'fw_setenv',
): string[] => [program, '--config', board.environmentConfig];

/** The environment's size in U-Boot for QEMU's virt machine. */
const environmentBytes = 0x40000;

/** Makes the board's hardware: a flash with U-Boot's environment, as `saveenv` leaves it, and nothing to report. */
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

export const initramfsCommand = (places: SandboxPlaces): string[] => [
  join(checkout, 'deploy/sandbox/mkinitramfs'),
  places.root,
  bootFiles.image,
  bootFiles.initramfs,
];

/** Makes the board's hardware and its empty root, with pacman's folders and the boot loader's config. */
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
