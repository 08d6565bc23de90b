/** The paths on a host in which enrolment puts things. */
export const configFolder = '/etc/kernel-agent';
export const programsFolder = '/usr/local/lib/kernel-agent';
/** Closed to others, so it can't be the folder that holds the labs and sandboxes of a machine. */
export const stateHome = '/var/lib/kernel-agent-host';
/** The folder in which pacman looks for hooks unless its configuration names others. pacman.conf(5), HookDir */
export const hookFolder = '/etc/pacman.d/hooks';
export const unitFolder = '/etc/systemd/system';
/** The keys of those who may log in here as peers: root's, since a peer's own files would let others in. */
export const loginsFolder = `${configFolder}/logins`;
/** The images of the file systems in which peers store things. */
export const storesFolder = '/var/lib/kernel-agent-stores';

export const hostPlaces = {
  config: `${configFolder}/agent.yaml`,
  trust: `${configFolder}/trust.json`,
  keyring: `${configFolder}/packages.gpg`,
  knownHosts: `${configFolder}/known_hosts`,
  ca: `${configFolder}/nats-ca.pem`,
  /** The link to the build that runs. */
  current: `${programsFolder}/current`,
  state: `${stateHome}/state`,
  keys: `${stateHome}/keys`,
  key: `${stateHome}/keys/host.nkey`,
  identity: `${stateHome}/keys/id_ed25519`,
  /** This file exists while the units do not run with all new files yet. */
  owed: `${configFolder}/restart-owed`,
  unit: `${unitFolder}/kernel-agent.service`,
  dropIn: `${unitFolder}/kernel-agent.service.d/10-folders.conf`,
  /** Its name comes first, so that it asks before other hooks do anything. */
  pacmanHook: `${hookFolder}/00-kernel-agent.hook`,
  /** Who may log in, for `ka doctor`. */
  logins: `${configFolder}/logins.json`,
  /** Before other drop-ins of sshd: of two options for a user the first counts. */
  sshdDropIn: '/etc/ssh/sshd_config.d/05-kernel-agent.conf',
  deadlineUnit: `${unitFolder}/kernel-agent-deadline.service`,
} as const;

/** All files that enrolment writes to the config folder, which may also be a coordinator's. */
export const configFiles: readonly string[] = [
  hostPlaces.trust,
  hostPlaces.keyring,
  hostPlaces.knownHosts,
  hostPlaces.ca,
  loginsFolder,
  hostPlaces.logins,
  hostPlaces.owed,
  // Last, because it shows as what the machine is enrolled.
  hostPlaces.config,
];

/** The folders of drop-ins, including an administrator's from `systemctl edit`, which are useless without the units. */
export const dropInFolders: readonly string[] = [`${hostPlaces.unit}.d`, `${hostPlaces.deadlineUnit}.d`];

/** The command that asks a host's installed program for its open work. */
export const openWorkArgv = ['node', `${hostPlaces.current}/host.mjs`, 'open', '--config', hostPlaces.config];

/** The user as which the agents of builders and publishers run. */
export const agentUser = 'kernel-agent';
