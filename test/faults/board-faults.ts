import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestFleet } from '../test-fleet.ts';
import { reconfigure } from './sandbox-faults.ts';

/** What one reboot of the board becomes, as shell commands; later ones are as ever. */
export const nextReboot = async (fleet: TestFleet, fault: string, then = true): Promise<void> => {
  const { board } = fleet.places;
  const once = join(fleet.folder, 'once');
  const script = `if [ -e "$0" ]; then rm "$0"; ${fault}; ${then ? '' : 'exit 0;'} fi; touch "$1"`;
  await writeFile(once, '');
  await reconfigure(fleet, 'fresnel', (config) => {
    config.boot.rebootCommand = ['sh', '-c', script, once, board.rebootFile];
  });
};

/** U-Boot takes the trial, the kernel panics before anything else runs, and its record outlives the reset. */
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

/** The board goes down for its next reboot and has no power afterwards. */
export const nextRebootStaysOff = (fleet: TestFleet): Promise<void> => {
  const { off } = fleet.places.power('fresnel');
  return nextReboot(fleet, `mkdir -p "$(dirname "${off}")"; touch "${off}"`, false);
};

/** Takes the board's routes away. @returns What gives them back. */
export const takeRoutes = async (fleet: TestFleet): Promise<() => Promise<void>> => {
  const { routes } = fleet.places.board;
  const table = await readFile(routes, 'utf8');
  await writeFile(routes, table.split('\n')[0] ?? '');
  return () => writeFile(routes, table);
};
