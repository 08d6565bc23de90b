/** Where enrolment puts things on a host. */
export const configFolder = '/etc/kernel-agent';
export const programsFolder = '/usr/local/lib/kernel-agent';
/** Closed to others; so not the folder that a lab or a sandbox of this machine lies in. */
export const stateHome = '/var/lib/kernel-agent-host';
export const unitFolder = '/etc/systemd/system';

export const hostPlaces = {
  config: `${configFolder}/agent.yaml`,
  fleet: `${configFolder}/fleet.yaml`,
  keyring: `${configFolder}/packages.gpg`,
  knownHosts: `${configFolder}/known_hosts`,
  ca: `${configFolder}/nats-ca.pem`,
  /** The build that runs. */
  current: `${programsFolder}/current`,
  state: `${stateHome}/state`,
  keys: `${stateHome}/keys`,
  key: `${stateHome}/keys/host.nkey`,
  identity: `${stateHome}/keys/id_ed25519`,
  /** Is there while the units don't run with all that was put there. */
  owed: `${configFolder}/restart-owed`,
  unit: `${unitFolder}/kernel-agent.service`,
  dropIn: `${unitFolder}/kernel-agent.service.d/10-folders.conf`,
  deadlineUnit: `${unitFolder}/kernel-agent-deadline.service`,
} as const;

/** All that enrolment writes to the config folder, which may be a coordinator's as well. */
export const configFiles: readonly string[] = [
  hostPlaces.fleet,
  hostPlaces.keyring,
  hostPlaces.knownHosts,
  hostPlaces.ca,
  hostPlaces.owed,
  // Last: it says whose machine this is.
  hostPlaces.config,
];

/** What an administrator added to the units with `systemctl edit` is of no use without them. */
export const dropInFolders: readonly string[] = [`${hostPlaces.unit}.d`, `${hostPlaces.deadlineUnit}.d`];

/** Asks a host's installed program what is open there. */
export const openWorkArgv = ['node', `${hostPlaces.current}/host.mjs`, 'open', '--config', hostPlaces.config];

/** The user that a builder's and a publisher's agent runs as. */
export const agentUser = 'kernel-agent';
