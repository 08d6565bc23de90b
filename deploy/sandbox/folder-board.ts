import { existsSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { folderBoardOf } from '../examples/example.ts';
import type { BoardMachine } from '../local-fleet/board/board-machine.ts';
import type { BoardMaking } from '../local-fleet/board/board-making.ts';
import { writePacmanConfigs } from '../local-fleet/board/board-pacman.ts';
import { writeAgentConfig } from '../local-fleet/configs.ts';
import { makeOpenFolder } from '../local-fleet/open-folder.ts';
import { repositoryUrl } from '../local-fleet/servers/served-folders.ts';
import type { SandboxPlaces } from '../places/sandbox-places.ts';
import type { Kept } from '../processes/kept-process.ts';
import { createLoggedRun } from '../processes/logged-run.ts';
import { nodeArgv } from '../processes/node-argv.ts';
import { initramfsCommand, makeBoardRoot } from './board-root.ts';
import { folderBoardConfig } from './folder-board-config.ts';
import { boot } from './power.ts';

/** Makes a board that is a folder of this machine. */
export const folderBoardMaking: BoardMaking = {
  kind: 'folder',
  fleet: 'sandbox',
  make: async ({ places }, run, example, install) => {
    await makeBoardRoot(run, places, example);
    const { fixturesFolder } = folderBoardOf(example);
    await makeOpenFolder(places.board.fixtures);
    if (fixturesFolder !== undefined) await cp(fixturesFolder, places.board.fixtures, { recursive: true });
    await install();
    await run(initramfsCommand(places));
  },
};

/** A board that is a folder: its agent and its deadline are processes of this machine. */
export const folderBoard = (places: SandboxPlaces): BoardMachine => {
  const run = createLoggedRun(places.log('provision'));
  const daemon = (file: string): Kept => ({
    argv: () => nodeArgv(file, '--config', places.config('fresnel')),
  });
  return {
    processes: {
      fresnel: daemon('agents/main.ts'),
      'fresnel-deadline': daemon('agents/board/deadline-main.ts'),
    },
    writeConfigs: async (now) => {
      await writeAgentConfig(places, 'fresnel', folderBoardConfig(now));
      await writePacmanConfigs(places, {
        carch: now.example.carch,
        repositoryUrl: repositoryUrl(now.servers),
      });
    },
    boot: () => boot(run, places),
    wantsReboot: () => existsSync(places.board.rebootFile),
  };
};
