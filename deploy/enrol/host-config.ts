import { dirname, resolve } from 'node:path';
import { onBoard } from '../../agents/board/board-root.ts';
import { AgentConfig, type BoardConfig, type EnrolledHost, type HostLogins } from '../../schemas/config.ts';
import { hostPlaces } from './places.ts';

export interface HostConfig {
  config: AgentConfig;
  /** Local files that belong on the host, by their path there. */
  carried: ReadonlyMap<string, string>;
  /** Who may log in to it as a peer. The agent does not need to know. */
  logins: HostLogins;
}

/**
 * Completes the config that a host's operator wrote with the paths that enrolment decides; files that are carried over
 * are named by their path on the host.
 * @param file the file of the written config: the files that it names are relative to it.
 */
export const completeConfig = (
  written: EnrolledHost,
  { fleet, host, file }: { fleet: string; host: string; file: string },
): HostConfig => {
  const carried = new Map<string, string>();
  const carry = (local: string, there: string): string => {
    carried.set(there, resolve(dirname(file), local));
    return there;
  };
  const { caFile, ...nats } = written.nats;
  const common = {
    fleet,
    host,
    nats: { ...nats, ...(caFile === undefined ? {} : { caFile: carry(caFile, hostPlaces.ca) }) },
    keyFile: hostPlaces.key,
    trustFile: hostPlaces.trust,
    stateFolder: hostPlaces.state,
  };
  if (written.role === 'builder') {
    const { logins, ...own } = written;
    const { ssh, ...git } = own.git;
    const loginOverSsh = ssh && {
      ssh: { identity: hostPlaces.identity, knownHosts: carry(ssh.knownHosts, hostPlaces.knownHosts) },
    };
    return {
      config: AgentConfig.parse({ ...own, ...common, git: { ...git, ...loginOverSsh } }),
      carried,
      logins,
    };
  }
  const peers = Object.fromEntries(
    Object.entries(written.peers).map(([name, peer]) => [name, { ...peer, identity: hostPlaces.identity }]),
  );
  const signing = { ...written.signing, keyring: carry(written.signing.keyring, hostPlaces.keyring) };
  const { logins = {}, ...own } = written.role === 'board' ? { ...written, logins: {} } : written;
  return { config: AgentConfig.parse({ ...own, ...common, peers, signing }), carried, logins };
};

/** Whether the host logs in anywhere over SSH, and so needs an identity. */
export const needsIdentity = (config: AgentConfig): boolean =>
  config.role === 'builder' ? config.git.ssh !== undefined : Object.keys(config.peers).length > 0;

/** The folders in a config that the agent's user owns and writes to. */
export const ownFolders = (config: AgentConfig): string[] => {
  switch (config.role) {
    case 'builder':
      return [config.makepkg.sourcesFolder, config.makepkg.worktreesFolder, config.offeredFolder];
    case 'publisher': {
      const mirror = config.mirror?.destination;
      return [config.repository.folder, ...(mirror?.startsWith('/') ? [mirror] : [])];
    }
    case 'board':
      return [];
  }
};

/** The programs for the board's boot loader. A freeze also needs one that finds the file system. */
const loaderCommands = (loader: BoardConfig['boot']['loader']): (readonly string[])[] => {
  if (loader === undefined || loader.kind === 'none') return [];
  const commands =
    loader.kind === 'u-boot'
      ? [
          loader.setCommand,
          loader.printCommand,
          ...(loader.bootPrintCommand ? [loader.bootPrintCommand] : []),
        ]
      : [];
  return [...commands, ...(loader.freeze ? [['fsfreeze'], ['find']] : [])];
};

const everyHost = ['env', 'setpriv', 'systemd-notify', 'ssh-keygen', 'getent', 'journalctl', 'sync'];

/** The paths in a config that have to exist on the host before it is enrolled. */
export const neededPaths = (config: AgentConfig): string[] => {
  switch (config.role) {
    case 'builder':
      return [];
    case 'publisher':
      return [config.signing.gnupgHome];
    // Not the image: a newer agent may have to repair a board that lost it.
    case 'board': {
      const { boot, pacman, root } = config;
      const loader =
        boot.loader && boot.loader.kind !== 'none' ? [onBoard(root, boot.loader.configFile)] : [];
      return [pacman.configFile, pacman.localConfigFile, ...loader];
    }
  }
};

/** The programs that a host's steps run, and those that enrolment runs. */
export const neededPrograms = (config: AgentConfig): string[] => {
  switch (config.role) {
    case 'builder':
      return [
        ...everyHost,
        ...[
          'sshd',
          'useradd',
          'makepkg',
          'vercmp',
          'git',
          'patch',
          'rsync',
          'bsdtar',
          'zstd',
          'file',
          'make',
          'fakeroot',
        ],
        ...(config.makepkg.confinement === 'required' ? ['bwrap'] : []),
        ...(config.git.ssh ? ['ssh'] : []),
      ];
    case 'publisher':
      return [
        ...everyHost,
        ...['sshd', 'useradd', 'gpg', 'gpgv', 'gpgconf', 'repo-add', 'vercmp', 'bsdtar'],
        ...(config.mirror ? ['rsync', 'curl'] : []),
      ];
    case 'board':
      return [
        ...everyHost,
        ...[
          'gpgv',
          'gpg',
          'pacman-conf',
          'vercmp',
          'bsdtar',
          'tar',
          'zstd',
          'curl',
          'flock',
          'du',
          'sha256sum',
        ],
        ...[
          config.pacman.command,
          config.boot.initramfsCommand,
          config.boot.rebootCommand,
          config.sweep.command,
          ...loaderCommands(config.boot.loader),
        ].flatMap(([program]) => program ?? []),
      ];
  }
};
