import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BoardMaking } from '../local-fleet/board/board-making.ts';
import { pacmanConfigs } from '../local-fleet/board/board-pacman.ts';
import type { FixedPorts } from '../local-fleet/sandbox-facts.ts';
import { repositoryUrl } from '../local-fleet/servers/served-folders.ts';
import { baseRoot } from './base-root.ts';
import { makeBoardDisk } from './board-disk.ts';
import { boardPacman, machineFromGuest, sweepFolder } from './board-host-config.ts';
import { type EnrolHost, enrolBoard } from './enrol-board.ts';
import { enableForeignPrograms } from './foreign-programs.ts';
import { labPlaces } from './lab-places.ts';
import { buildSweepProgram } from './sweep-program.ts';

/** How a lab's board is made: a disk with Debian and the baseline kernel, booted once to be enrolled. */
export const virtualBoardMaking = (ports: FixedPorts, enrolHost: EnrolHost): BoardMaking => ({
  kind: 'virtual',
  fleet: 'lab',
  ports,
  make: async ({ places, cacheFolder, onProgress }, run, example, install) => {
    // Needed even with a full cache: the board's initramfs is made in a chroot.
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
  finish: (making, example, facts) => enrolBoard(making, example, facts, enrolHost),
});
