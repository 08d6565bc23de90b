import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pacmanConfigs } from '../sandbox/board-root.ts';
import { repositoryUrl } from '../sandbox/configs.ts';
import type { FixedPorts } from '../sandbox/identity.ts';
import type { BoardMaking } from '../sandbox/provision.ts';
import { baseRoot } from './base-root.ts';
import { makeBoardDisk } from './board-disk.ts';
import { boardPacman, machineFromGuest, sweepFolder } from './board-host-config.ts';
import { enrolBoard } from './enrol-board.ts';
import { enableForeignPrograms } from './foreign-programs.ts';
import { labPlaces } from './lab-places.ts';
import { buildSweepProgram } from './sweep-program.ts';

/** How a lab's board is made: a disk with Debian and the baseline kernel, booted once to be enrolled. */
export const virtualBoardMaking = (ports: FixedPorts): BoardMaking => ({
  kind: 'virtual',
  fleet: 'lab',
  ports,
  make: async ({ places, cacheFolder, onProgress }, run, example, install) => {
    // For the board's initramfs too, which is made in a chroot: not only where the cache is empty.
    await enableForeignPrograms(run);
    const archive = await baseRoot(run, { cacheFolder, onProgress });
    const fill = async (root: string) => {
      await install();
      const url = repositoryUrl({ filesPort: ports.files }).replace('127.0.0.1', machineFromGuest);
      const configs = pacmanConfigs(boardPacman, { carch: example.carch, repositoryUrl: url });
      for (const folder of [boardPacman.cache, boardPacman.hooks])
        await mkdir(join(root, folder), { recursive: true });
      await writeFile(join(root, boardPacman.configFile), configs.withRepository);
      await writeFile(join(root, boardPacman.localConfigFile), configs.local);
      await buildSweepProgram(run, join(root, sweepFolder));
    };
    await makeBoardDisk({ run, places: labPlaces(places.folder), archive, fill, ports, onProgress });
  },
  finish: enrolBoard,
});
