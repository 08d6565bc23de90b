import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRun } from '../host/run.ts';

export interface SshdOptions {
  /** Holds the host key, which a later start reuses, and the server's config, log and pid. */
  folder: string;
  /** Lines of an authorized_keys file. They let in only the user that runs this. */
  authorizedKeys: readonly string[];
  /** Default 127.0.0.1. */
  address?: string;
  /** Default: a free one. */
  port?: number;
}

export interface Sshd {
  port: number;
  /** `ssh-ed25519 AAAA…` */
  hostKey: string;
  pid: number;
  /** Ends the server and its sessions. */
  stop(): Promise<void>;
}

const answersWithinMs = 10_000;
const run = createRun(() => undefined);
const asRoot = () => process.getuid?.() === 0;

/**
 * Makes an ed25519 key without a passphrase in `file`, if there is none yet, and writes its public half to
 * `<file>.pub`.
 * @returns the public key, `ssh-ed25519 AAAA…`, without a comment.
 * @throws {ProgramFailed} if ssh-keygen can't make or read it.
 */
export const generateSshKey = async (file: string): Promise<string> => {
  if (!existsSync(file)) {
    const part = `${file}.part`;
    await mkdir(dirname(file), { recursive: true });
    // ssh-keygen would ask before it overwrites a file that a killed one left.
    await rm(part, { force: true });
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', part]);
    await rm(`${part}.pub`, { force: true });
    await rename(part, file);
  }
  const { stdout } = await run(['ssh-keygen', '-y', '-f', file]);
  const [type, key] = stdout.trim().split(' ');
  const publicKey = `${type} ${key}`;
  await writeFile(`${file}.pub`, `${publicKey}\n`);
  return publicKey;
};

/** sshd executes itself again for each session, so it has to be called by an absolute path. */
const findSshd = (): string => {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin', '/usr/bin'];
  for (const folder of folders) {
    const file = join(folder, 'sshd');
    try {
      accessSync(file, constants.X_OK);
      if (file.startsWith('/')) return file;
    } catch {
      // Not in this folder.
    }
  }
  throw new Error('No sshd was found; install the OpenSSH server.');
};

/** Without PAM, sshd refuses a user whose shadow entry is locked with `!`, even with a key. */
const needsPam = async (user: string): Promise<boolean> => {
  // This is what sshd sees: a user that may not read the entry gets none, or one that NSS makes up.
  const { stdout } = await run(['getent', 'shadow', user], { exitCodes: [0, 2] });
  return stdout.split(':')[1]?.startsWith('!') ?? false;
};

/** A port that is free at this moment. Another program may take it before it is used. */
export const freePort = async (address: string): Promise<number> => {
  const server = createServer().listen(0, address);
  await once(server, 'listening');
  const bound = server.address();
  server.close();
  await once(server, 'close');
  if (bound === null || typeof bound === 'string') throw new Error(`No free port on ${address}.`);
  return bound.port;
};

const showsBanner = (address: string, port: number): Promise<boolean> =>
  new Promise((answer) => {
    const socket = connect(port, address);
    const end = (seen: boolean) => {
      socket.destroy();
      answer(seen);
    };
    socket.setTimeout(2000, () => end(false));
    socket.once('data', (bytes) => end(bytes.toString('latin1').startsWith('SSH-2.0-')));
    socket.once('error', () => end(false));
    socket.once('close', () => end(false));
  });

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

const kill = (pid: number, signal: NodeJS.Signals) => {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone.
  }
};

/**
 * The server's SSH sessions: child processes in their own sessions, which outlive the server unless they are signalled.
 */
const sessionsOf = async (pid: number): Promise<number[]> => {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return children.split(' ').filter(Boolean).map(Number);
};

const stop = async (child: ChildProcess, pid: number): Promise<void> => {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  // While it is stopped, it accepts no session between the list and the end.
  kill(pid, 'SIGSTOP');
  const sessions = await sessionsOf(pid);
  kill(pid, 'SIGTERM');
  kill(pid, 'SIGCONT');
  for (const session of sessions) kill(session, 'SIGTERM');
  await ended;
};

const start = async (options: SshdOptions, hostKey: string, port: number): Promise<Sshd> => {
  const { address = '127.0.0.1', authorizedKeys } = options;
  const folder = resolve(options.folder);
  const file = (name: string) => join(folder, name);
  const user = userInfo().username;
  await writeFile(file('authorized_keys'), authorizedKeys.map((line) => `${line}\n`).join(''), {
    mode: 0o600,
  });
  await writeFile(
    file('sshd_config'),
    `${[
      `ListenAddress ${address}`,
      `Port ${port}`,
      `HostKey "${file('host_key')}"`,
      `PidFile "${file('sshd.pid')}"`,
      `AuthorizedKeysFile "${file('authorized_keys')}"`,
      'StrictModes no',
      'AuthenticationMethods publickey',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin prohibit-password',
      `AllowUsers ${user}`,
      `UsePAM ${(await needsPam(user)) ? 'yes' : 'no'}`,
      'PrintMotd no',
      'UseDNS no',
      'MaxStartups 100',
      'Subsystem sftp internal-sftp',
      // Sessions find git-upload-pack and the like as this process does. The empty HOME has no .bashrc, which can take
      // longer than the command.
      `SetEnv "PATH=${process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin'}" "HOME=${folder}"`,
    ].join('\n')}\n`,
  );
  // Debian's privilege separation folder. Otherwise only Debian's unit makes it.
  if (asRoot()) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });

  const child = spawn(findSshd(), ['-D', '-f', file('sshd_config'), '-E', file('sshd.log')], {
    stdio: 'ignore',
  });
  const failed = once(child, 'error').then(([error]) => error as Error);
  for (
    let waited = 0;
    waited < answersWithinMs && !hasEnded(child) && child.pid !== undefined;
    waited += 20
  ) {
    if ((await showsBanner(address, port)) && !hasEnded(child)) {
      const { pid } = child;
      return { port, hostKey, pid, stop: () => stop(child, pid) };
    }
    await sleep(20);
  }
  if (child.pid === undefined) throw new Error(`sshd could not be started: ${(await failed).message}`);
  if (!hasEnded(child)) await stop(child, child.pid);
  const log = await readFile(file('sshd.log'), 'utf8').catch(() => '');
  const said = log.trim().split('\n').slice(-3).join(' / ') || 'its log is empty';
  throw new Error(`sshd on ${address}:${port} does not answer (${said}); its log is ${file('sshd.log')}.`);
};

/**
 * Starts a private OpenSSH server as a child process, for the user that runs this: with keys only, for SFTP and
 * commands. It works as root and as an ordinary user, and is ready once this returns.
 * @throws {Error} with the log's last lines if it does not answer.
 */
export const startSshd = async (options: SshdOptions): Promise<Sshd> => {
  const { folder, address = '127.0.0.1', port } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const hostKey = await generateSshKey(join(resolve(folder), 'host_key'));
  if (port !== undefined) return start(options, hostKey, port);
  // Another program may take the free port before sshd does.
  for (let tries = 1; ; tries++) {
    try {
      return await start(options, hostKey, await freePort(address));
    } catch (error) {
      if (tries === 3 || !(error instanceof Error) || !/Address already in use/.test(error.message))
        throw error;
    }
  }
};
