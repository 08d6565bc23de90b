import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'ssh2';
import type { Peer } from '../../schemas/config.ts';
import { StepFailed } from './errors.ts';
import { isMissing, openSftp, type Sftp } from './sftp.ts';
import { hashRemote, resumePart, writeRemote } from './sftp-copy.ts';
import { syncPath } from './sync-path.ts';

/** A connection to a pinned peer. Remote paths are relative to the peer's folder and hold no `..`. */
export interface Connection {
  /**
   * Copies a remote file to `local` by way of `local.part`, which a later call resumes. The file gets its own name
   * only once its size and sha256 are the expected ones; a `.part` that turns out wrong is removed.
   * Gives the bytes that travelled now, and the seconds they took.
   * @throws {StepFailed} (work) if the peer has no such file or another one.
   */
  fetch(
    remote: string,
    local: string,
    expected: { sizeBytes: number; sha256: string },
  ): Promise<{ bytes: number; seconds: number }>;
  /**
   * Copies `local` to the peer by way of a `.part`, reads it back, and gives it its own name only if it is the same.
   * Folders on the way are made.
   * @throws {StepFailed} (host) if the peer then holds other bytes than were sent.
   */
  put(local: string, remote: string): Promise<{ sizeBytes: number; sha256: string }>;
  /** Reads a remote file and hashes it; undefined if there is none. */
  hash(remote: string): Promise<{ sizeBytes: number; sha256: string } | undefined>;
  close(): void;
}

/** A peer that reboots or a router that is late is worth a second and a third try. */
const unreachablePausesMs = [500, 2000];

const named = (peer: Peer) => `${peer.user}@${peer.address}:${peer.port}`;

const login = async (peer: Peer, privateKey: Buffer, signal?: AbortSignal): Promise<Client> => {
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
        host: peer.address,
        port: peer.port,
        username: peer.user,
        privateKey,
        // The pinned key is an ed25519 one; another type of key could only be refused.
        algorithms: { serverHostKey: ['ssh-ed25519'] },
        hostVerifier: (key: Buffer) => {
          shown = `ssh-ed25519 ${key.toString('base64')}`;
          return shown === peer.hostKey;
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
    if (shown !== undefined && shown !== peer.hostKey)
      throw new StepFailed(
        'host',
        `${named(peer)} shows the host key "${shown}" and "${peer.hostKey}" is pinned: somebody else answers there, or the peer was set up anew and its key has to be enrolled again.`,
      );
    if (error instanceof Error && 'level' in error && error.level === 'client-authentication')
      throw new StepFailed(
        'host',
        `${named(peer)} refuses the key ${peer.identity}: put its public half into authorized_keys there.`,
        { cause: error },
      );
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
  // Without it a stream waits for acknowledgements of its own small packets.
  client.setNoDelay(true);
  return client;
};

/** Tries again where nobody answered; a key that was refused stays refused. */
const reach = async (peer: Peer, privateKey: Buffer, signal?: AbortSignal): Promise<Client> => {
  for (const pauseMs of [...unreachablePausesMs, undefined]) {
    try {
      return await login(peer, privateKey, signal);
    } catch (error) {
      if (error instanceof StepFailed || signal?.aborted) throw error;
      if (pauseMs === undefined)
        throw new StepFailed(
          'host',
          `${named(peer)} can't be reached over SSH (${error instanceof Error ? error.message : String(error)}): see that it is up, and its address in this host's config.`,
          { cause: error },
        );
      await sleep(pauseMs, undefined, signal ? { signal } : {});
    }
  }
  throw new TypeError('unreachable');
};

/** @throws {StepFailed} (work) if the path could lead out of the peer's folder. */
const inside = (peer: Peer, remote: string): string => {
  const segments = remote.split('/');
  if (
    segments.some((segment) => segment === '' || segment === '.' || segment === '..') ||
    remote.includes('\0')
  )
    throw new StepFailed(
      'work',
      `The remote path "${remote}" is refused: it has to be relative to ${peer.folder} and hold no "." or "..".`,
    );
  return `${peer.folder.replace(/\/+$/, '')}/${remote}`;
};

const withFile = async <Value>(
  sftp: Sftp,
  path: string,
  flags: 'r' | 'w',
  use: (handle: Buffer) => Promise<Value>,
): Promise<Value> => {
  const handle = await sftp.open(path, flags);
  try {
    return await use(handle);
  } finally {
    // A connection that is gone has closed it.
    await sftp.close(handle).catch(() => undefined);
  }
};

const makeFolders = async (sftp: Sftp, path: string): Promise<void> => {
  if (path === '/' || (await sftp.isFolder(path))) return;
  await makeFolders(sftp, dirname(path));
  await sftp.mkdir(path).catch(async (error: unknown) => {
    if (!(await sftp.isFolder(path))) throw error; // Somebody else made it just now.
  });
};

/** @throws {StepFailed} (host) if the peer can't be reached, refuses the key, or shows another host key. */
export const connect = async (peer: Peer, signal?: AbortSignal): Promise<Connection> => {
  signal?.throwIfAborted();
  const privateKey = await readFile(peer.identity).catch((error: unknown) => {
    throw new StepFailed(
      'host',
      `The key ${peer.identity} for ${named(peer)} can't be read: enrol this host.`,
      {
        cause: error,
      },
    );
  });
  const client = await reach(peer, privateKey, signal);
  const sftp = await openSftp(client, signal);
  return {
    async fetch(remote, local, expected) {
      const path = inside(peer, remote);
      const part = `${local}.part`;
      const started = performance.now();
      const bytes = await withFile(sftp, path, 'r', async (handle) => {
        const size = await sftp.sizeOf(handle);
        if (size !== expected.sizeBytes)
          throw new StepFailed(
            'work',
            `${path} on ${named(peer)} has ${size} bytes and ${expected.sizeBytes} were expected: it is another file.`,
          );
        let total = 0;
        for (;;) {
          const { sha256, resumedAt, travelled } = await resumePart(sftp, handle, part, size);
          total += travelled;
          if (sha256 === expected.sha256) return total;
          await rm(part, { force: true });
          // The part that an earlier copy left may be the wrong one: the whole file decides.
          if (resumedAt === 0)
            throw new StepFailed(
              'work',
              `${path} on ${named(peer)} has the sha256 ${sha256} and ${expected.sha256} was expected: it was altered.`,
            );
        }
      }).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
        throw new StepFailed('work', `${named(peer)} has no file ${path}.`, { cause: error });
      });
      await rename(part, local);
      await syncPath(dirname(local));
      return { bytes, seconds: (performance.now() - started) / 1000 };
    },

    async put(local, remote) {
      const path = inside(peer, remote);
      const part = `${path}.part`;
      await makeFolders(sftp, dirname(path));
      const source = await open(local, 'r');
      try {
        const sent = await withFile(sftp, part, 'w', async (handle) => {
          const written = await writeRemote(sftp, handle, source);
          await sftp.sync(handle);
          return written;
        });
        const there = await withFile(sftp, part, 'r', (handle) => hashRemote(sftp, handle));
        if (there.sha256 !== sent.sha256 || there.sizeBytes !== sent.sizeBytes)
          throw new StepFailed(
            'host',
            `${part} on ${named(peer)} reads back as ${there.sha256} and ${sent.sha256} was sent: its disk alters what it is given.`,
          );
        await sftp.rename(part, path);
        return there;
      } finally {
        await source.close();
      }
    },

    async hash(remote) {
      try {
        return await withFile(sftp, inside(peer, remote), 'r', (handle) => hashRemote(sftp, handle));
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },

    close: () => void client.end(),
  };
};
