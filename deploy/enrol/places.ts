/** Where enrolment puts things on a host. */
export const configFolder = '/etc/kernel-agent';
export const programsFolder = '/usr/local/lib/kernel-agent';
export const stateHome = '/var/lib/kernel-agent';
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

/** The user that a builder's and a publisher's agent runs as. */
export const agentUser = 'kernel-agent';
