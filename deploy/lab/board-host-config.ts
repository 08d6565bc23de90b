import { userInfo } from 'node:os';
import type { SandboxExample } from '../examples/example.ts';
import { bootFiles, trialVariable } from '../local-fleet/board/boot-files.ts';
import type { FixedPorts } from '../local-fleet/sandbox-facts.ts';
import type { SandboxPlaces } from '../places/sandbox-places.ts';
import { initramfsProgram } from './board-files.ts';
import { bootEnvConfigFile } from './boot-environment.ts';

/** How a guest of QEMU's user network reaches the loopback of the machine that it runs on. */
export const machineFromGuest = '10.0.2.2';

/** Where pacman is at home on the virtual board, by the paths that the board itself uses. */
export const boardPacman = {
  root: '/',
  configFile: '/etc/pacman.conf',
  localConfigFile: '/etc/pacman-local.conf',
  database: '/var/lib/pacman',
  cache: '/var/cache/pacman/pkg',
  log: '/var/log/pacman.log',
  gpg: '/etc/pacman.d/gnupg',
  hooks: '/etc/pacman.d/hooks',
} as const;

/** Where the board has its sweep. */
export const sweepFolder = '/usr/local/lib/fresnel-sweep';

/** How long the new kernel may go unconfirmed here: longer than its boot and sweep take under emulation. */
const confirmWithinSeconds = 900;

/**
 * The virtual board's own config, as an operator writes it for `ka enrol --host-config`: what a real board's says, for
 * this one's paths and programs.
 * @param hertz The public host key of the backup host's SSH server.
 */
export const boardHostConfig = (
  places: SandboxPlaces,
  example: SandboxExample,
  { ports, fingerprint, hertz }: { ports: FixedPorts; fingerprint: string; hertz: string },
) => ({
  role: 'board',
  nats: { servers: [`nats://${machineFromGuest}:${ports.nats}`] },
  peers: {
    hertz: {
      address: machineFromGuest,
      port: ports.ssh.hertz,
      user: userInfo().username,
      hostKey: hertz,
      folder: places.shared,
    },
  },
  root: '/',
  packages: [...example.package.names],
  pacman: {
    command: ['pacman'],
    configFile: boardPacman.configFile,
    localConfigFile: boardPacman.localConfigFile,
    cacheFolder: boardPacman.cache,
    logFile: boardPacman.log,
    databaseFolder: boardPacman.database,
  },
  boot: {
    image: bootFiles.image,
    initramfs: bootFiles.initramfs,
    initramfsCommand: [initramfsProgram],
    keep: [bootFiles.deviceTrees, bootFiles.extlinux],
    rebootCommand: ['systemctl', 'reboot'],
    confirmWithinSeconds,
    loader: {
      kind: 'u-boot',
      configFile: bootFiles.extlinux,
      label: bootFiles.label,
      variable: trialVariable,
      setCommand: ['fw_setenv'],
      printCommand: ['fw_printenv'],
      bootPrintCommand: ['fw_printenv', '-c', bootEnvConfigFile],
      freeze: true,
    },
    traces: {
      pstoreFolders: ['/var/lib/systemd/pstore', '/sys/fs/pstore'],
      watchdogStatusFile: '/sys/class/watchdog/watchdog0/bootstatus',
    },
  },
  repositoryUrl: `http://${machineFromGuest}:${ports.files}/arch`,
  signing: { fingerprint, keyring: places.keyring('fresnel') },
  sweep: {
    command: [`${sweepFolder}/fence-sweep`],
    fixturesFolder: sweepFolder,
    timeoutSeconds: 120,
  },
});
