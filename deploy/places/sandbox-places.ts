import { join, resolve } from 'node:path';

/** The hosts of the sandbox fleet. */
export const sandboxHosts = {
  boltzmann: 'builder',
  fermi: 'builder',
  hertz: 'publisher',
  fresnel: 'board',
} as const;
export type SandboxHost = keyof typeof sandboxHosts;
export const hostNames = Object.keys(sandboxHosts) as SandboxHost[];

/** The hosts that others reach over SSH. */
export const sshHosts = ['boltzmann', 'fermi', 'hertz'] as const;
export type SshHost = (typeof sshHosts)[number];

/** The people of the sandbox: one who starts iterations, and one who reviews them. */
export const peopleNames = ['mfritsche', 'sonnet-architect'] as const;
export const writerNames = ['coordinator', ...peopleNames, ...hostNames] as const;
export type SandboxWriter = (typeof writerNames)[number];
/** Who logs in at the log's server without being a writer of events. */
export type SandboxLogin = SandboxWriter | 'admin' | 'keeper';

/** The name of hertz's package repository. */
export const repositoryName = 'marfrit';

/** The paths of a board that is a folder: `root` is the root of its own file system, the rest is its hardware. */
const boardPlaces = (folder: string, root: string) => ({
  pacmanConfig: join(folder, 'pacman.conf'),
  localPacmanConfig: join(folder, 'pacman-local.conf'),
  database: join(root, 'var/lib/pacman'),
  cache: join(root, 'var/cache/pacman/pkg'),
  log: join(root, 'var/log/pacman.log'),
  gpg: join(root, 'etc/pacman.d/gnupg'),
  hooks: join(root, 'etc/pacman.d/hooks'),
  extlinux: join(root, 'boot/extlinux/extlinux.conf'),
  /** U-Boot's environment, outside the root, and the config with which fw_setenv finds it. */
  environment: join(folder, 'flash/u-boot.env'),
  environmentConfig: join(folder, 'flash/fw_env.config'),
  /** The traces of a kernel that ended, and of the hardware watchdog. */
  pstore: join(folder, 'pstore'),
  watchdogStatus: join(folder, 'proc/watchdog_bootstatus'),
  /** The board's view of its network: interfaces, and the routing table. */
  interfaces: join(folder, 'proc/net_interfaces'),
  routes: join(folder, 'proc/net_route'),
  /** The running image: a copy made at boot, which an install does not change. */
  runningImage: join(folder, 'running/image'),
  bootIdFile: join(folder, 'proc/boot_id'),
  releaseFile: join(folder, 'proc/osrelease'),
  versionFile: join(folder, 'proc/version'),
  fixtures: join(folder, 'clips'),
  /** Creating this file reboots the board. */
  rebootFile: join(folder, 'power/reboot'),
  /** One line per boot, written by the machine: the boot id and the kernel's banner. */
  bootsFile: join(folder, 'power/boots'),
});

/** Every path of a sandbox. All of them are below its folder. */
export const sandboxPlaces = (sandboxFolder: string) => {
  const folder = resolve(sandboxFolder);
  const host = (name: SandboxHost) => join(folder, name);
  const root = join(folder, 'fresnel/root');
  return {
    folder,
    /** Marks the folder as a sandbox, which may be wiped, and holds how it was made. */
    marker: join(folder, 'sandbox.json'),
    /** Names the process that holds the sandbox. */
    lock: join(folder, 'lock'),
    run: join(folder, 'run'),
    stateFile: join(folder, 'run/state.json'),
    portFile: join(folder, 'run/files.port'),
    log: (name: string) => join(folder, 'run/log', `${name}.log`),
    nats: join(folder, 'nats'),
    git: join(folder, 'git'),
    repository: (name: string) => join(folder, 'git', `${name}.git`),
    plan: join(folder, 'plan'),
    mirror: join(folder, 'mirror'),
    control: join(folder, 'control'),
    fleetFile: join(folder, 'control/fleet.yaml'),
    trustFile: join(folder, 'control/trust.json'),
    coordinatorConfig: join(folder, 'control/coordinator.yaml'),
    operatorConfig: join(folder, 'control/ka.yaml'),
    keeperConfig: join(folder, 'control/keeper.yaml'),
    host,
    /** While this file exists, the host has no power; the same for nats-server. */
    power: (name: SandboxHost | 'nats') => ({ off: join(folder, name, 'power/off') }),
    config: (name: SandboxHost) => join(host(name), 'config.yaml'),
    /** A writer's key: an NKey seed. */
    keyFile: (writer: SandboxLogin) =>
      hostNames.some((name) => name === writer)
        ? join(host(writer as SandboxHost), 'writer.nkey')
        : join(folder, 'control', `${writer}.nkey`),
    sshKey: (name: SandboxHost) => join(host(name), 'ssh/id_ed25519'),
    sshd: (name: SshHost) => join(host(name), 'sshd'),
    knownHosts: (name: SandboxHost) => join(host(name), 'ssh/known_hosts'),
    offered: (name: SandboxHost) => join(host(name), 'offered'),
    sources: (name: SandboxHost) => join(host(name), 'sources'),
    gnupgHome: join(folder, 'hertz/gnupg'),
    keyring: (name: 'hertz' | 'fresnel') => join(host(name), 'packages.gpg'),
    /** hertz's package repository: its views, and the link `current`. */
    packageRepository: join(folder, 'hertz/repository'),
    /**
     * The folder that boards reach over SSH: `views`, a link to the package repository's, and one folder of backups per
     * board.
     */
    shared: join(folder, 'hertz/shared'),
    root,
    board: boardPlaces(host('fresnel'), root),
  };
};
export type SandboxPlaces = ReturnType<typeof sandboxPlaces>;
