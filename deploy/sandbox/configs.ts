import { rename, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { AgentConfig, CoordinatorConfig, OperatorConfig, type Peer } from '../../schemas/config.ts';
import { packager } from './baseline.ts';
import {
  bootFiles,
  environmentCommand,
  initramfsCommand,
  pacmanCommand,
  trialVariable,
  writePacmanConfigs,
} from './board-root.ts';
import { folderBoardOf, type SandboxExample } from './example.ts';
import type { SandboxFacts } from './identity.ts';
import {
  hostNames,
  peopleNames,
  repositoryName,
  type SandboxHost,
  type SandboxPlaces,
  type SshHost,
} from './places.ts';

/** Where the sandbox's servers listen now, on 127.0.0.1. */
export interface SandboxServers {
  natsPort: number;
  filesPort: number;
  ssh: Readonly<Record<SshHost, { port: number; hostKey: string }>>;
}

const folderUrl = (servers: Pick<SandboxServers, 'filesPort'>, name: 'arch' | 'mirror') =>
  `http://127.0.0.1:${servers.filesPort}/${name}`;

/** The folders that the file server shows, by the first part of their URL. */
export const servedFolders = (places: SandboxPlaces): Record<'arch' | 'mirror', string> => ({
  arch: `${places.packageRepository}/current`,
  mirror: places.mirror,
});

/** The part of hertz's config that publishing needs. */
export const publishing = (
  places: SandboxPlaces,
  fingerprint: string,
  servers: Pick<SandboxServers, 'filesPort'>,
) => ({
  signing: { gnupgHome: places.gnupgHome, fingerprint, keyring: places.keyring('hertz') },
  repository: { name: repositoryName, folder: places.packageRepository },
  mirror: { destination: places.mirror, url: folderUrl(servers, 'mirror') },
});

export const repositoryUrl = (servers: Pick<SandboxServers, 'filesPort'>): string =>
  folderUrl(servers, 'arch');

const header =
  '# Written by kernel-agent’s sandbox each time that it starts: the ports are those that were free.\n';

const writeYaml = async (file: string, value: unknown): Promise<void> => {
  await writeFile(`${file}.part`, header + stringify(value));
  await rename(`${file}.part`, file);
};

/**
 * Writes every config of the fleet for where its servers listen now: each host's, the coordinator's, the operator's,
 * and pacman's. What is written is what the daemons' own schemas accept. A virtual board has its own from its enrolment.
 */
export const writeConfigs = async (
  places: SandboxPlaces,
  example: SandboxExample,
  facts: SandboxFacts,
  servers: SandboxServers,
  { user, worktrees }: { user: { uid: number; gid: number } | undefined; worktrees: string | undefined },
): Promise<void> => {
  const nats = { servers: [`nats://127.0.0.1:${servers.natsPort}`] };
  const { username } = userInfo();
  const peer = (from: SandboxHost, to: SshHost, folder: string): Peer => ({
    address: '127.0.0.1',
    port: servers.ssh[to].port,
    user: username,
    identity: places.sshKey(from),
    hostKey: servers.ssh[to].hostKey,
    folder,
  });
  const common = (host: SandboxHost) => ({
    fleet: facts.fleet,
    host,
    nats,
    keyFile: places.keyFile(host),
    fleetFile: places.fleetFile,
    stateFolder: `${places.host(host)}/state`,
  });
  const gitUrl = (name: string) =>
    `ssh://${username}@127.0.0.1:${servers.ssh.hertz.port}${encodeURI(places.repository(name))}`;

  const builder = (host: 'boltzmann' | 'fermi'): AgentConfig => ({
    ...common(host),
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
      environment: { ...example.makepkgEnvironment },
      confinement: 'if-possible',
    },
    offeredFolder: places.offered(host),
  });

  const configs: Partial<Record<SandboxHost, unknown>> = {
    boltzmann: builder('boltzmann'),
    fermi: builder('fermi'),
    hertz: {
      ...common('hertz'),
      role: 'publisher',
      peers: {
        boltzmann: peer('hertz', 'boltzmann', places.offered('boltzmann')),
        fermi: peer('hertz', 'fermi', places.offered('fermi')),
      },
      ...publishing(places, facts.fingerprint, servers),
    },
  };
  if (facts.board === 'folder')
    configs.fresnel = {
      ...common('fresnel'),
      bootIdFile: places.board.bootIdFile,
      releaseFile: places.board.releaseFile,
      procVersionFile: places.board.versionFile,
      role: 'board',
      peers: { hertz: peer('fresnel', 'hertz', places.shared) },
      root: places.root,
      packages: [...example.package.names],
      pacman: {
        command: [...pacmanCommand],
        configFile: places.board.pacmanConfig,
        localConfigFile: places.board.localPacmanConfig,
        cacheFolder: places.board.cache,
        logFile: places.board.log,
        databaseFolder: places.board.database,
      },
      boot: {
        image: bootFiles.image,
        initramfs: bootFiles.initramfs,
        initramfsCommand: initramfsCommand(places),
        keep: [bootFiles.deviceTrees, bootFiles.extlinux],
        rebootCommand: ['touch', places.board.rebootFile],
        loader: {
          kind: 'u-boot',
          configFile: bootFiles.extlinux,
          label: bootFiles.label,
          variable: trialVariable,
          setCommand: environmentCommand(places, 'fw_setenv'),
          printCommand: environmentCommand(places, 'fw_printenv'),
        },
        traces: {
          pstoreFolders: [places.board.pstore],
          watchdogStatusFile: places.board.watchdogStatus,
        },
      },
      network: { interfacesFolder: places.board.interfaces, routeFiles: [places.board.routes] },
      repositoryUrl: repositoryUrl(servers),
      signing: { fingerprint: facts.fingerprint, keyring: places.keyring('fresnel') },
      sweep: {
        command: [...folderBoardOf(example).sweepCommand(places)],
        fixturesFolder: places.board.fixtures,
      },
    };
  for (const host of hostNames)
    if (configs[host]) await writeYaml(places.config(host), AgentConfig.parse(configs[host]));

  // A port other than 22 stands beside the address in brackets, sshd(8).
  const { hertz } = servers.ssh;
  for (const host of ['boltzmann', 'fermi'] as const)
    await writeFile(places.knownHosts(host), `[127.0.0.1]:${hertz.port} ${hertz.hostKey}\n`);

  await writeYaml(
    places.coordinatorConfig,
    CoordinatorConfig.parse({
      fleetFile: places.fleetFile,
      nats,
      keyFile: places.keyFile('coordinator'),
      stateFolder: join(places.control, 'state'),
    }),
  );
  await writeYaml(
    places.operatorConfig,
    OperatorConfig.parse({
      fleetFile: places.fleetFile,
      nats,
      identities: Object.fromEntries(peopleNames.map((name) => [name, places.keyFile(name)])),
    }),
  );
  if (facts.board === 'folder')
    await writePacmanConfigs(places, { carch: example.carch, repositoryUrl: repositoryUrl(servers) });
};
