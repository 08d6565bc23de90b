import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ProgramFailed } from '../../../host/errors.ts';
import type { BuilderConfig } from '../../../schemas/config.ts';
import { StepFailed } from '../../runtime/errors.ts';

/** How to reach a repository: its URL, and the one transport that git may use for it. */
export interface Remote {
  url: string;
  protocol: 'file' | 'ssh' | 'https';
}

const protocolOf = (url: string): Remote['protocol'] | undefined => {
  if (url.startsWith('/') || url.startsWith('file:///')) return 'file';
  if (url.startsWith('https://')) return 'https';
  if (url.startsWith('ssh://') || /^[A-Za-z0-9_][^\s/:]*:(?!:)/.test(url)) return 'ssh';
  return undefined;
};

/**
 * A repository that the config names.
 * @throws {StepFailed} (host) if the config does not name it, if its URL is of another kind, or if it uses SSH and
 * there is no key.
 */
export const findRemote = (config: Pick<BuilderConfig, 'repositories' | 'git'>, name: string): Remote => {
  const url = Object.hasOwn(config.repositories, name) ? config.repositories[name] : undefined;
  if (url === undefined)
    throw new StepFailed(
      'host',
      `this host knows no repository "${name}"; its config names ${Object.keys(config.repositories).join(', ') || 'none'}`,
    );
  const protocol = protocolOf(url);
  if (protocol === undefined)
    throw new StepFailed('host', `the repository "${name}" has the URL ${url}; use file, ssh or https`);
  if (protocol === 'ssh' && config.git.ssh === undefined)
    throw new StepFailed(
      'host',
      `the repository "${name}" is reached over SSH, but the config has no git.ssh`,
    );
  return { url, protocol };
};

const shellQuoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

const sshConfig = ({ identity, knownHosts }: { identity: string; knownHosts: string }): string => {
  for (const path of [identity, knownHosts])
    if (/["\\%$\n]/.test(path))
      throw new StepFailed('host', `git.ssh names ${path}, but ssh accepts no path with one of " \\ % $`);
  return `Host *
  IdentityFile "${identity}"
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile "${knownHosts}"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  BatchMode yes
  ConnectTimeout 20
  ServerAliveInterval 15
  ServerAliveCountMax 4
`;
};

/**
 * The environment in which git talks to a remote: over SSH with the config's key, the hosts that it pins, and nothing
 * of the user's or the system's own configuration. Git passes GIT_SSH_COMMAND to a shell, so it holds one quoted path
 * of this host and nothing else.
 */
export const remoteEnvironment = async (
  config: Pick<BuilderConfig, 'git' | 'stateFolder'>,
  { protocol }: Remote,
): Promise<Record<string, string>> => {
  if (protocol !== 'ssh' || config.git.ssh === undefined) return { GIT_ALLOW_PROTOCOL: protocol };
  const folder = join(config.stateFolder, 'git');
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'ssh_config');
  await writeFile(`${file}.part`, sshConfig(config.git.ssh), { mode: 0o600 });
  await rename(`${file}.part`, file);
  return {
    GIT_ALLOW_PROTOCOL: protocol,
    GIT_SSH_VARIANT: 'ssh',
    GIT_SSH_COMMAND: `ssh -F ${shellQuoted(file)}`,
  };
};

const refused =
  /Host key verification failed|Permission denied \(|does not appear to be a git repository|[Rr]epository (?:(?![Rr]epository ).)*not found|detected dubious ownership|Authentication failed|could not read Username/;

/**
 * The line by which git reports a failure that another try can't change: a refused key, another host key, no such
 * repository.
 */
export const refusal = (error: unknown): string | undefined =>
  error instanceof ProgramFailed
    ? error.stderr
        .split('\n')
        .find((line) => refused.test(line))
        ?.trim()
    : undefined;
