import { rename, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { z } from 'zod';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import {
  AgentConfig,
  type BuilderConfig,
  CoordinatorConfig,
  KeeperConfig,
  OperatorConfig,
  type Peer,
  type PublisherConfig,
} from '../../schemas/config.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { trustFileText } from '../../schemas/trust-file.ts';
import type { SandboxExample } from '../examples/example.ts';
import {
  peopleNames,
  repositoryName,
  type SandboxHost,
  type SandboxPlaces,
  type SshHost,
} from '../places/sandbox-places.ts';
import { packager } from './baseline.ts';
import type { SandboxFacts } from './sandbox-facts.ts';
import { mirrorUrl } from './servers/served-folders.ts';

/** The present ports of the sandbox's servers, on 127.0.0.1. */
export interface SandboxServers {
  natsPort: number;
  filesPort: number;
  ssh: Readonly<Record<SshHost, { port: number; hostKey: string }>>;
}

/** A fleet as it was made, and its servers' present ports: the inputs of its configs. */
export interface FleetNow {
  places: SandboxPlaces;
  example: SandboxExample;
  facts: SandboxFacts;
  servers: SandboxServers;
}

/** How this machine builds. */
export interface Building {
  user: { uid: number; gid: number } | undefined;
  /** The folder of the builders' worktrees, if those outlive the sandbox. */
  worktrees: string | undefined;
  /** `if-possible` only where nothing can confine a PKGBUILD: a sandbox works there too. */
  confinement: BuilderConfig['makepkg']['confinement'];
}

const builders = ['boltzmann', 'fermi'] as const;

/** The PATH that the builders' programs get, if whoever starts the fleet sets one, as the tests do. */
const buildersPath = process.env.KA_BUILDERS_PATH;

const natsOf = ({ servers }: FleetNow) => ({ servers: [`nats://127.0.0.1:${servers.natsPort}`] });

/** The part of an agent's config that is the same for every role. */
export const commonConfig = (now: FleetNow, host: SandboxHost) => ({
  fleet: now.facts.fleet,
  host,
  nats: natsOf(now),
  keyFile: now.places.keyFile(host),
  trustFile: now.places.trustFile,
  stateFolder: `${now.places.host(host)}/state`,
});

/** How one host logs in to another, for a folder there. */
export const peerOf = (
  { places, servers }: FleetNow,
  { from, to, folder }: { from: SandboxHost; to: SshHost; folder: string },
): Peer => ({
  address: '127.0.0.1',
  port: servers.ssh[to].port,
  user: userInfo().username,
  identity: places.sshKey(from),
  hostKey: servers.ssh[to].hostKey,
  folder,
});

const builderConfig = (
  now: FleetNow,
  host: (typeof builders)[number],
  { user, worktrees, confinement }: Building,
): z.input<typeof BuilderConfig> => {
  const { places, example, servers } = now;
  const gitServer = `ssh://${userInfo().username}@127.0.0.1:${servers.ssh.hertz.port}`;
  const gitUrl = (name: string) => `${gitServer}${encodeURI(places.repository(name))}`;
  return {
    ...commonConfig(now, host),
    bootIdFile: '/proc/sys/kernel/random/boot_id',
    releaseFile: '/proc/sys/kernel/osrelease',
    procVersionFile: '/proc/version',
    role: 'builder',
    repositories: Object.fromEntries(example.repositories.map((name) => [name, gitUrl(name)])),
    recordsIn: ['campaign'],
    git: {
      author: { name: `kernel-agent on ${host}`, email: `${host}@kernel-agent.invalid` },
      ssh: { identity: places.sshKey(host), knownHosts: places.knownHosts(host) },
    },
    makepkg: {
      ...(user === undefined ? {} : { user }),
      carch: example.carch,
      sourcesFolder: places.sources(host),
      worktreesFolder: worktrees === undefined ? `${places.host(host)}/worktrees` : `${worktrees}/${host}`,
      packager,
      environment: {
        ...example.makepkgEnvironment,
        ...(buildersPath === undefined ? {} : { PATH: buildersPath }),
      },
      confinement,
    },
    offeredFolder: places.offered(host),
  };
};

/** The part of hertz's config that publishing needs. */
export const publishing = (
  places: SandboxPlaces,
  fingerprint: string,
  servers: Pick<SandboxServers, 'filesPort'>,
) => ({
  signing: { gnupgHome: places.gnupgHome, fingerprint, keyring: places.keyring('hertz') },
  repository: { name: repositoryName, folder: places.packageRepository },
  mirror: { destination: places.mirror, url: mirrorUrl(servers) },
});

const publisherConfig = (now: FleetNow): z.input<typeof PublisherConfig> => {
  const { places, facts, servers } = now;
  const offeredBy = (to: (typeof builders)[number]) =>
    peerOf(now, { from: 'hertz', to, folder: places.offered(to) });
  return {
    ...commonConfig(now, 'hertz'),
    role: 'publisher',
    peers: { boltzmann: offeredBy('boltzmann'), fermi: offeredBy('fermi') },
    ...publishing(places, facts.fingerprint, servers),
  };
};

const header = '# Written by kernel-agent’s sandbox at each start, with the ports of its servers.\n';

const writeYaml = async (file: string, value: unknown): Promise<void> => {
  await writeFile(`${file}.part`, header + stringify(value));
  await rename(`${file}.part`, file);
};

/** Writes a host's config, as the agent's own schema accepts it. */
export const writeAgentConfig = (
  places: SandboxPlaces,
  host: SandboxHost,
  config: z.input<typeof AgentConfig>,
): Promise<void> => writeYaml(places.config(host), AgentConfig.parse(config));

/**
 * Writes the fleet's configs, with the servers' present ports, for all hosts but the board, for the coordinator and for
 * the operator. The daemons' own schemas check them first.
 */
export const writeConfigs = async (now: FleetNow, building: Building): Promise<void> => {
  const { places, servers } = now;
  await writeFile(places.trustFile, trustFileText(readConfigFile(places.fleetFile, Fleet)));
  for (const host of builders) await writeAgentConfig(places, host, builderConfig(now, host, building));
  await writeAgentConfig(places, 'hertz', publisherConfig(now));

  // With a port other than 22, the address is in brackets, sshd(8).
  const { hertz } = servers.ssh;
  for (const host of builders)
    await writeFile(places.knownHosts(host), `[127.0.0.1]:${hertz.port} ${hertz.hostKey}\n`);

  const coordinator: z.input<typeof CoordinatorConfig> = {
    fleetFile: places.fleetFile,
    nats: natsOf(now),
    keyFile: places.keyFile('coordinator'),
    stateFolder: join(places.control, 'state'),
  };
  await writeYaml(places.coordinatorConfig, CoordinatorConfig.parse(coordinator));
  const keeper: z.input<typeof KeeperConfig> = {
    fleetFile: places.fleetFile,
    nats: natsOf(now),
    keyFile: places.keyFile('keeper'),
    server: {
      configFile: join(places.nats, 'nats-server.conf'),
      runningFile: join(places.nats, 'nats-running.conf'),
      pidFile: join(places.nats, 'nats-server.pid'),
    },
    silencedFile: join(places.nats, 'silenced.json'),
  };
  await writeYaml(places.keeperConfig, KeeperConfig.parse(keeper));
  const operator: z.input<typeof OperatorConfig> = {
    fleetFile: places.fleetFile,
    nats: natsOf(now),
    identities: Object.fromEntries(peopleNames.map((name) => [name, places.keyFile(name)])),
    cacheFolder: join(places.control, 'cache'),
  };
  await writeYaml(places.operatorConfig, OperatorConfig.parse(operator));
};
