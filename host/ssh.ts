import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Peer } from '../schemas/config.ts';
import { MachineFault } from './errors.ts';
import { isMissing, openSftp, type Sftp } from './sftp.ts';
import { hashRemote, resumePart, writeRemote } from './sftp-copy.ts';
import { logIn, named } from './ssh-login.ts';
import { syncPath } from './sync-path.ts';

/** A connection to a pinned peer. Remote paths are relative to the peer's folder and hold no `..`. */
export interface Connection {
  /**
   * Copies a remote file to `local` by way of `local.part`, which a later call resumes. The file gets its own name only
   * once its size and sha256 are the expected ones; a wrong `.part` is removed.
   * @returns the bytes that were transferred by this call, and the seconds that took.
   * @throws {MachineFault} if the peer has no such file, or a file with other bytes.
   */
  fetch(
    remote: string,
    local: string,
    expected: { sizeBytes: number; sha256: string },
  ): Promise<{ bytes: number; seconds: number }>;
  /**
   * Copies `local` to the peer as a `.part`, reads it back, and gives it its own name only if it has the same bytes.
   * Missing folders are made.
   * @throws {MachineFault} (altered) if the peer then holds other bytes than were sent.
   */
  put(local: string, remote: string): Promise<{ sizeBytes: number; sha256: string }>;
  /** Reads a remote file and hashes it; undefined if there is no such file, or if it has more bytes than `atMostBytes`. */
  hash(remote: string, atMostBytes: number): Promise<{ sizeBytes: number; sha256: string } | undefined>;
  /** The files below a remote folder, by their paths below it, two folders deep at most; none if there is no such folder. */
  list(remote: string): Promise<RemoteFile[]>;
  /** Removes a remote file, and its folder if that is empty then. It need not be there. */
  remove(remote: string): Promise<void>;
  close(): void;
}

/** A file of a peer's. */
export interface RemoteFile {
  path: string;
  sizeBytes: number;
  /** By the peer's clock, in milliseconds since 1970. */
  mtimeMs: number;
}

/** @throws {MachineFault} (path-refused) if the path could lead out of the peer's folder. */
const inside = (peer: Peer, remote: string): string => {
  const segments = remote.split('/');
  if (
    segments.some((segment) => segment === '' || segment === '.' || segment === '..') ||
    remote.includes('\0')
  )
    throw new MachineFault(
      'path-refused',
      `The remote path "${remote}" is refused: it has to be relative to ${peer.folder} and hold no "." or "..".`,
    );
  return `${peer.folder.replace(/(?<!\/)\/+$/, '')}/${remote}`;
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
    // A lost connection has already closed it.
    await sftp.close(handle).catch(() => undefined);
  }
};

const makeFolders = async (sftp: Sftp, path: string): Promise<void> => {
  if (path === '/' || (await sftp.isFolder(path))) return;
  await makeFolders(sftp, dirname(path));
  await sftp.mkdir(path).catch(async (error: unknown) => {
    if (!(await sftp.isFolder(path))) throw error; // Somebody else may have made it just now.
  });
};

/** See {@link Connection.fetch}. */
const fetchFrom =
  (sftp: Sftp, peer: Peer): Connection['fetch'] =>
  async (remote, local, expected) => {
    const path = inside(peer, remote);
    const part = `${local}.part`;
    const started = performance.now();
    const bytes = await withFile(sftp, path, 'r', async (handle) => {
      const size = await sftp.sizeOf(handle);
      if (size !== expected.sizeBytes)
        throw new MachineFault(
          'other-bytes',
          `${path} on ${named(peer)} has ${size} bytes and ${expected.sizeBytes} were expected: it is another file.`,
        );
      let total = 0;
      for (;;) {
        const { sha256, resumedAt, travelled } = await resumePart(sftp, handle, part, size);
        total += travelled;
        if (sha256 === expected.sha256) return total;
        await rm(part, { force: true });
        // The part that an earlier copy left may be of another file: the whole file is fetched again.
        if (resumedAt === 0)
          throw new MachineFault(
            'other-bytes',
            `${path} on ${named(peer)} has the sha256 ${sha256} and ${expected.sha256} was expected: it was altered.`,
          );
      }
    }).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
      throw new MachineFault('no-such-file', `${named(peer)} has no file ${path}.`, { cause: error });
    });
    await rename(part, local);
    await syncPath(dirname(local));
    return { bytes, seconds: (performance.now() - started) / 1000 };
  };

/** See {@link Connection.put}. */
const putTo =
  (sftp: Sftp, peer: Peer): Connection['put'] =>
  async (local, remote) => {
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
        throw new MachineFault(
          'altered',
          `${part} on ${named(peer)} reads back as ${there.sha256} and ${sent.sha256} was sent: its disk alters what it is given.`,
        );
      await sftp.rename(part, path);
      return there;
    } finally {
      await source.close();
    }
  };

/** See {@link Connection.hash}. */
const hashAt =
  (sftp: Sftp, peer: Peer): Connection['hash'] =>
  async (remote, atMostBytes) => {
    try {
      return await withFile(sftp, inside(peer, remote), 'r', async (handle) =>
        (await sftp.sizeOf(handle)) > atMostBytes ? undefined : hashRemote(sftp, handle),
      );
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  };

/** The answer, or `otherwise` where the peer has no such file or folder. */
const unlessMissing = <Value>(asked: Promise<Value>, otherwise: Value): Promise<Value> =>
  asked.catch((error: unknown) => {
    if (!isMissing(error)) throw error;
    return otherwise;
  });

/** As {@link Connection.list}. */
const listAt = (sftp: Sftp, peer: Peer): Connection['list'] => {
  const below = async (folder: string, deep: number): Promise<RemoteFile[]> => {
    const files: RemoteFile[] = [];
    for (const { name, isFolder, ...file } of await unlessMissing(sftp.list(folder), []))
      if (!isFolder) files.push({ path: name, ...file });
      else if (deep > 1)
        for (const inner of await below(`${folder}/${name}`, deep - 1))
          files.push({ ...inner, path: `${name}/${inner.path}` });
    return files;
  };
  return (remote) => below(inside(peer, remote), 2);
};

/** As {@link Connection.remove}. */
const removeAt =
  (sftp: Sftp, peer: Peer): Connection['remove'] =>
  async (remote) => {
    const path = inside(peer, remote);
    await unlessMissing(sftp.unlink(path), undefined);
    await sftp.rmdir(dirname(path)).catch(() => undefined); // something else is in it
  };

/** @throws {MachineFault} if the peer can't be reached, refuses the key, or shows another host key. */
export const connect = async (peer: Peer, signal?: AbortSignal): Promise<Connection> => {
  signal?.throwIfAborted();
  const privateKey = await readFile(peer.identity).catch((error: unknown) => {
    throw new MachineFault(
      'login-refused',
      `The key ${peer.identity} for ${named(peer)} can't be read: enrol this host.`,
      {
        cause: error,
      },
    );
  });
  const client = await logIn({ ...peer, privateKey }, signal);
  const sftp = await openSftp(client, signal);
  return {
    fetch: fetchFrom(sftp, peer),
    put: putTo(sftp, peer),
    hash: hashAt(sftp, peer),
    list: listAt(sftp, peer),
    remove: removeAt(sftp, peer),
    close: () => void client.end(),
  };
};
