import type { Client, FileEntryWithStats, SFTPWrapper } from 'ssh2';

/** The callback of a call on a peer's file system; `code` is the SFTP status (draft-ietf-secsh-filexfer-02, 7). */
type Done<Value> = (error: (Error & { code?: unknown }) | null | undefined, value: Value) => void;

/** The SFTP calls that copying needs, as promises. They also reject when the connection is lost. */
export interface Sftp {
  open(path: string, flags: 'r' | 'w'): Promise<Buffer>;
  close(handle: Buffer): Promise<void>;
  /** Fills `length` bytes of `into` unless the file ends before that. @returns how many bytes were read. */
  read(handle: Buffer, into: Buffer, length: number, position: number): Promise<number>;
  write(handle: Buffer, from: Buffer, length: number, position: number): Promise<void>;
  sizeOf(handle: Buffer): Promise<number>;
  isFolder(path: string): Promise<boolean>;
  mkdir(path: string): Promise<void>;
  /** What is in a folder. */
  list(path: string): Promise<{ name: string; isFolder: boolean; sizeBytes: number; mtimeMs: number }[]>;
  /** Removes a file. */
  unlink(path: string): Promise<void>;
  /** Removes an empty folder. */
  rmdir(path: string): Promise<void>;
  /** Syncs the file to the peer's disk, if the peer supports that. */
  sync(handle: Buffer): Promise<void>;
  /** Replaces a file that has the new name. */
  rename(from: string, to: string): Promise<void>;
}

/** SSH_FX_NO_SUCH_FILE */
export const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 2;

/** Turns a call with a {@link Done} callback into a promise. */
type Call = <Value>(start: (done: Done<Value>) => void) => Promise<Value>;

/** Makes calls that reject when the connection is lost: ssh2 never calls back after that. */
const callsOver = (client: Client, signal: AbortSignal | undefined): Call => {
  let gone: Error | undefined;
  const waiting = new Set<(error: Error) => void>();
  const end = (error: Error) => {
    gone ??= error;
    for (const reject of waiting) reject(gone);
    waiting.clear();
  };
  const stop = () => {
    end(signal?.reason instanceof Error ? signal.reason : new Error('The transfer was stopped.'));
    client.destroy();
  };
  client.on('error', (error) =>
    end(new Error(`The SSH connection was lost: ${error.message}`, { cause: error })),
  );
  client.on('close', () => {
    signal?.removeEventListener('abort', stop);
    end(new Error('The SSH connection was lost.'));
  });
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  return <Value>(start: (done: Done<Value>) => void): Promise<Value> =>
    new Promise<Value>((resolve, reject) => {
      if (gone) return reject(gone);
      waiting.add(reject);
      start((error, value) => {
        waiting.delete(reject);
        if (error) reject(gone ?? error);
        else resolve(value);
      });
    });
};

/** Opens an SFTP session on a connection that is ready. */
export const openSftp = async (client: Client, signal?: AbortSignal): Promise<Sftp> => {
  const call = callsOver(client, signal);
  const sftp = await call<SFTPWrapper>((done) => client.sftp(done));
  /** Makes a call that only OpenSSH's server knows; with another server it throws at once, and `otherwise` runs. */
  const extended = (start: (done: Done<unknown>) => void, otherwise: (done: Done<unknown>) => void) =>
    call<unknown>((done) => {
      try {
        start(done);
      } catch {
        otherwise(done);
      }
    });
  return {
    open: (path, flags) => call((done) => sftp.open(path, flags, done)),
    close: async (handle) =>
      void (await call<unknown>((done) => sftp.close(handle, (error) => done(error, 0)))),
    async read(handle, into, length, position) {
      let got = 0;
      while (got < length) {
        const bytes = await call<number>((done) =>
          sftp.read(handle, into, got, length - got, position + got, (error, count) => done(error, count)),
        );
        if (bytes === 0) break;
        got += bytes;
      }
      return got;
    },
    write: async (handle, from, length, position) =>
      void (await call<unknown>((done) =>
        sftp.write(handle, from, 0, length, position, (error) => done(error, 0)),
      )),
    sizeOf: async (handle) => (await call<{ size: number }>((done) => sftp.fstat(handle, done))).size,
    isFolder: (path) =>
      call<{ isDirectory(): boolean }>((done) => sftp.stat(path, done)).then(
        (stats) => stats.isDirectory(),
        (error: unknown) => {
          if (isMissing(error)) return false;
          throw error;
        },
      ),
    mkdir: async (path) => void (await call<unknown>((done) => sftp.mkdir(path, (error) => done(error, 0)))),
    list: async (path) =>
      (await call<FileEntryWithStats[]>((done) => sftp.readdir(path, done)))
        .filter(({ filename }) => filename !== '.' && filename !== '..')
        .map(({ filename, attrs }) => ({
          name: filename,
          isFolder: attrs.isDirectory(),
          sizeBytes: attrs.size,
          mtimeMs: attrs.mtime * 1000,
        })),
    unlink: async (path) =>
      void (await call<unknown>((done) => sftp.unlink(path, (error) => done(error, 0)))),
    rmdir: async (path) => void (await call<unknown>((done) => sftp.rmdir(path, (error) => done(error, 0)))),
    sync: async (handle) =>
      void (await extended(
        (done) => sftp.ext_openssh_fsync(handle, (error) => done(error, 0)),
        (done) => done(undefined, 0),
      )),
    rename: async (from, to) =>
      void (await extended(
        (done) => sftp.ext_openssh_rename(from, to, (error) => done(error, 0)),
        (done) => sftp.unlink(to, () => sftp.rename(from, to, (error) => done(error, 0))),
      )),
  };
};
