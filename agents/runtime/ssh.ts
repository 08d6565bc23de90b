import type { Peer } from '../../schemas/config.ts';

/** A connection to a pinned peer. Remote paths are relative to the peer's folder and hold no `..`. */
export interface Connection {
  /**
   * Copies a remote file to `local` by way of `local.part`, which a later call resumes. The file gets its own name
   * only once its size and sha256 are the expected ones; a `.part` that turns out wrong is removed.
   * Gives the bytes that travelled now, and the seconds they took.
   */
  fetch(
    remote: string,
    local: string,
    expected: { sizeBytes: number; sha256: string },
  ): Promise<{ bytes: number; seconds: number }>;
  /**
   * Copies `local` to the peer by way of a `.part`, reads it back, and gives it its own name only if it is the same.
   * Folders on the way are made.
   */
  put(local: string, remote: string): Promise<{ sizeBytes: number; sha256: string }>;
  /** Reads a remote file and hashes it; undefined if there is none. */
  hash(remote: string): Promise<{ sizeBytes: number; sha256: string } | undefined>;
  close(): void;
}

/** @throws {StepFailed} (host) if the peer can't be reached, refuses the key, or shows another host key. */
export declare const connect: (peer: Peer, signal?: AbortSignal) => Promise<Connection>;
