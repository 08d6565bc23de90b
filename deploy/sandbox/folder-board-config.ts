import type { z } from 'zod';
import type { BoardConfig } from '../../schemas/config.ts';
import { folderBoardOf } from '../examples/example.ts';
import { pacmanCommand } from '../local-fleet/board/board-pacman.ts';
import { bootFiles, trialVariable } from '../local-fleet/board/boot-files.ts';
import { commonConfig, type FleetNow, peerOf } from '../local-fleet/configs.ts';
import { repositoryUrl } from '../local-fleet/servers/served-folders.ts';
import { environmentCommand, initramfsCommand } from './board-root.ts';

/** The config of the agent on a board that is a folder of this machine. */
export const folderBoardConfig = (now: FleetNow): z.input<typeof BoardConfig> => {
  const { places, example, facts, servers } = now;
  const { board } = places;
  return {
    ...commonConfig(now, 'fresnel'),
    bootIdFile: board.bootIdFile,
    releaseFile: board.releaseFile,
    procVersionFile: board.versionFile,
    role: 'board',
    peers: { hertz: peerOf(now, { from: 'fresnel', to: 'hertz', folder: places.shared }) },
    root: places.root,
    packages: [...example.package.names],
    pacman: {
      command: [...pacmanCommand],
      configFile: board.pacmanConfig,
      localConfigFile: board.localPacmanConfig,
      cacheFolder: board.cache,
      logFile: board.log,
      databaseFolder: board.database,
    },
    boot: {
      image: bootFiles.image,
      initramfs: bootFiles.initramfs,
      initramfsCommand: initramfsCommand(places),
      keep: [bootFiles.deviceTrees, bootFiles.extlinux],
      rebootCommand: ['touch', board.rebootFile],
      loader: {
        kind: 'u-boot',
        configFile: bootFiles.extlinux,
        label: bootFiles.label,
        variable: trialVariable,
        setCommand: environmentCommand(places, 'fw_setenv'),
        printCommand: environmentCommand(places, 'fw_printenv'),
      },
      traces: {
        pstoreFolders: [board.pstore],
        watchdogStatusFile: board.watchdogStatus,
      },
    },
    network: { interfacesFolder: board.interfaces, routeFiles: [board.routes] },
    repositoryUrl: repositoryUrl(servers),
    signing: { fingerprint: facts.fingerprint, keyring: places.keyring('fresnel') },
    sweep: {
      command: [...folderBoardOf(example).sweepCommand(places)],
      fixturesFolder: board.fixtures,
    },
  };
};
