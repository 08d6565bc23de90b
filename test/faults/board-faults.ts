import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestFleet } from '../test-fleet.ts';
import { reconfigure } from './sandbox-faults.ts';

/** Replaces the board's next reboot by shell commands; later reboots are normal. */
export const nextReboot = async (fleet: TestFleet, fault: string, then = true): Promise<void> => {
  const { board } = fleet.places;
  const once = join(fleet.folder, 'once');
  const script = `if [ -e "$0" ]; then rm "$0"; ${fault}; ${then ? '' : 'exit 0;'} fi; touch "$1"`;
  await writeFile(once, '');
  await reconfigure(fleet, 'fresnel', (config) => {
    config.boot.rebootCommand = ['sh', '-c', script, once, board.rebootFile];
  });
};

/**
 * At the next boot U-Boot takes the trial, the kernel panics before anything else runs, and its record survives the
 * reset.
 */
export const nextBootPanics = (fleet: TestFleet): Promise<void> => {
  const { board } = fleet.places;
  return nextReboot(
    fleet,
    [
      `fw_setenv -c "${board.environmentConfig}" ka_trial`,
      `echo 'Kernel panic - not syncing: VFS: Unable to mount root fs' > "${board.pstore}/dmesg-ramoops-0"`,
    ].join('; '),
  );
};

/** The board goes down at its next reboot and has no power afterwards. */
export const nextRebootStaysOff = (fleet: TestFleet): Promise<void> => {
  const { off } = fleet.places.power('fresnel');
  return nextReboot(fleet, `mkdir -p "$(dirname "${off}")"; touch "${off}"`, false);
};

/** Removes the board's routes. @returns a function that restores them. */
export const takeRoutes = async (fleet: TestFleet): Promise<() => Promise<void>> => {
  const { routes } = fleet.places.board;
  const table = await readFile(routes, 'utf8');
  await writeFile(routes, table.split('\n')[0] ?? '');
  return () => writeFile(routes, table);
};
