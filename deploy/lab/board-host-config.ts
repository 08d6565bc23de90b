import { userInfo } from 'node:os';
import type { SandboxExample } from '../examples/example.ts';
import { bootFiles, trialVariable } from '../local-fleet/board/boot-files.ts';
import type { FixedPorts } from '../local-fleet/sandbox-facts.ts';
import type { SandboxPlaces } from '../places/sandbox-places.ts';
import { initramfsProgram } from './board-files.ts';
import { bootEnvConfigFile } from './boot-environment.ts';

/** The address at which a guest of QEMU's user network reaches the loopback of its machine. */
export const machineFromGuest = '10.0.2.2';

/** pacman's paths on the virtual board, as the board itself sees them. */
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

/** The folder of the board's sweep program. */
export const sweepFolder = '/usr/local/lib/fresnel-sweep';

/** How long the new kernel may stay unconfirmed here: longer than its boot and sweep take under emulation. */
const confirmWithinSeconds = 900;

/**
 * The virtual board's config, as an operator writes it for `ka enrol --host-config`: like a real board's, with this
 * board's paths and programs.
 * @param hertz the public host key of the backup host's SSH server.
 */
export const boardHostConfig = (
  places: SandboxPlaces,
  example: SandboxExample,
  { ports, fingerprint, hertz }: { ports: FixedPorts; fingerprint: string; hertz: string },
) => ({
  role: 'board',
  nats: { servers: [`nats://${machineFromGuest}:${ports.nats}`], withinOneMachine: true },
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
