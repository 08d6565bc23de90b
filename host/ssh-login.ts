import { hash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'ssh2';
import { MachineFault } from './errors.ts';

/** Whom to log in as, and where. */
export interface SshTarget {
  address: string;
  port: number;
  user: string;
  /** The key to log in with; without it, a key of the ssh-agent is used. */
  privateKey?: Buffer;
  /** An ssh-agent's socket. */
  agent?: string;
  /** The name of that key in errors: its file. */
  identity: string;
  /** The only host key that is accepted: `ssh-ed25519 AAAA…`, or its fingerprint `SHA256:…` as `ssh-keygen -l` prints it. */
  hostKey: string;
}

/** A second and a third try help when a peer reboots or a router is slow. */
const unreachablePausesMs = [500, 2000];

export const named = (peer: Pick<SshTarget, 'user' | 'address' | 'port'>): string =>
  `${peer.user}@${peer.address}:${peer.port}`;

/** Writes a host key in the form in which it is pinned: whole, or as OpenSSH's fingerprint (base64 without padding). */
const spellHostKey = (key: Buffer, like: string): string =>
  like.startsWith('SHA256:')
    ? `SHA256:${hash('sha256', key, 'base64').replaceAll('=', '')}`
    : `ssh-ed25519 ${key.toString('base64')}`;

const logInOnce = async (target: SshTarget, signal?: AbortSignal): Promise<Client> => {
  const client = new Client();
  let shown: string | undefined;
  const stop = () => client.destroy();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('ready', resolve);
      client.once('error', reject);
      client.once('close', () => reject(new Error('the connection was closed')));
      client.connect({
        host: target.address,
        port: target.port,
        username: target.user,
        ...(target.privateKey === undefined ? {} : { privateKey: target.privateKey }),
        ...(target.agent === undefined ? {} : { agent: target.agent }),
        // The pinned key is an ed25519 one; another type of key could only be refused.
        algorithms: { serverHostKey: ['ssh-ed25519'] },
        hostVerifier: (key: Buffer) => {
          shown = spellHostKey(key, target.hostKey);
          return shown === target.hostKey;
        },
        keepaliveInterval: 10_000,
        keepaliveCountMax: 3,
        readyTimeout: 20_000,
      });
    });
  } catch (error) {
    signal?.throwIfAborted();
    client.on('error', () => undefined);
    client.destroy();
    if (shown !== undefined && shown !== target.hostKey)
      throw new MachineFault(
        'wrong-host-key',
        `${named(target)} shows the host key "${shown}" and "${target.hostKey}" is pinned: somebody else answers there, or it was set up again and its new key has to be pinned.`,
      );
    if (error instanceof Error && 'level' in error && error.level === 'client-authentication')
      throw new MachineFault(
        'login-refused',
        `${named(target)} refuses the key ${target.identity}: let its public half in there (below logins in the file of that host, or in authorized_keys), or name another key.`,
        { cause: error },
      );
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
  // Otherwise a stream waits for acknowledgements of its own small packets.
  client.setNoDelay(true);
  return client;
};

/**
 * Logs in, and tries again if nobody answers. After a refused key it does not try again.
 * @throws {MachineFault} if nobody can be reached there, the key is refused, or another host key is shown.
 */
export const logIn = async (target: SshTarget, signal?: AbortSignal): Promise<Client> => {
  for (const pauseMs of [...unreachablePausesMs, undefined]) {
    try {
      return await logInOnce(target, signal);
    } catch (error) {
      if (error instanceof MachineFault || signal?.aborted) throw error;
      if (pauseMs === undefined)
        throw new MachineFault(
          'unreachable',
          `${named(target)} can't be reached over SSH (${error instanceof Error ? error.message : String(error)}): see that it is up, and that address and port are right.`,
          { cause: error },
        );
      await sleep(pauseMs, undefined, signal ? { signal } : {});
    }
  }
  throw new TypeError('unreachable');
};
