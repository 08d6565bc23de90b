import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { Sftp } from './sftp.ts';

/**
 * The most that OpenSSH accepts in one request: 256 KiB less a packet's overhead. For a server with a smaller limit the
 * requests are split.
 */
const requestBytes = 261_120;
/** One request at a time would wait for each answer; sixteen fill the line. */
const requestsInFlight = 16;

/** Runs `work` for every request of a range, sixteen at once, and passes their results to `take` in order. */
const inOrder = async <Result>(
  from: number,
  to: number,
  work: (position: number, length: number) => Promise<Result>,
  take: (result: Result) => void | Promise<void>,
): Promise<void> => {
  const flying: Promise<Result>[] = [];
  try {
    for (let position = from; position < to || flying.length > 0; ) {
      while (position < to && flying.length < requestsInFlight) {
        const length = Math.min(requestBytes, to - position);
        const request = work(position, length);
        request.catch(() => undefined); // Awaiting it throws the error again.
        flying.push(request);
        position += length;
      }
      const first = flying.shift();
      if (first !== undefined) await take(await first);
    }
  } finally {
    await Promise.allSettled(flying);
  }
};

/**
 * Reads a remote file from byte `from` up to byte `to` and passes its pieces to `take` in order.
 * @throws {Error} if the file ends before that.
 */
const readRemote = (
  sftp: Sftp,
  handle: Buffer,
  from: number,
  to: number,
  take: (piece: Buffer) => void | Promise<void>,
): Promise<void> =>
  inOrder(
    from,
    to,
    async (position, length) => {
      const piece = Buffer.allocUnsafe(length);
      const got = await sftp.read(handle, piece, length, position);
      if (got < length) throw new Error(`the remote file ends at byte ${position + got} of ${to}`);
      return piece;
    },
    take,
  );

/** Hashes a remote file as it is now. */
export const hashRemote = async (
  sftp: Sftp,
  handle: Buffer,
): Promise<{ sizeBytes: number; sha256: string }> => {
  const hash = createHash('sha256');
  const sizeBytes = await sftp.sizeOf(handle);
  await readRemote(sftp, handle, 0, sizeBytes, (piece) => void hash.update(piece));
  return { sizeBytes, sha256: hash.digest('hex') };
};

/** Writes a local file to a remote one that is open and empty. @returns the size and the sha256 of what was sent. */
export const writeRemote = async (
  sftp: Sftp,
  handle: Buffer,
  local: FileHandle,
): Promise<{ sizeBytes: number; sha256: string }> => {
  const hash = createHash('sha256');
  const { size } = await local.stat();
  // Pieces are read and hashed one after the other, while earlier ones are being sent.
  let before: Promise<unknown> = Promise.resolve();
  await inOrder(
    0,
    size,
    async (position, length) => {
      const piece = Buffer.allocUnsafe(length);
      const turn = before.then(async () => {
        const { bytesRead } = await local.read(piece, 0, length, position);
        if (bytesRead < length) throw new Error('the local file became shorter while it was sent');
        hash.update(piece);
      });
      before = turn;
      await turn;
      await sftp.write(handle, piece, length, position);
    },
    () => undefined,
  );
  return { sizeBytes: size, sha256: hash.digest('hex') };
};

/** The part of a file that an earlier copy left: how much, and the hash up to there. */
const partHeld = async (part: string, atMost: number): Promise<{ bytes: number; hash: Hash }> => {
  const hash = createHash('sha256');
  const bytes = await stat(part).then(
    ({ size }) => size,
    () => 0,
  );
  if (bytes === 0 || bytes > atMost) return { bytes: 0, hash };
  for await (const piece of createReadStream(part)) hash.update(piece);
  return { bytes, hash };
};

/**
 * Continues the copy in `part`, up to byte `to` of the remote file. If this is cut anywhere, `part` holds the file's
 * beginning.
 * @returns the sha256 of the whole, how many bytes were there before, and how many were transferred.
 */
export const resumePart = async (
  sftp: Sftp,
  handle: Buffer,
  part: string,
  to: number,
): Promise<{ sha256: string; resumedAt: number; travelled: number }> => {
  const { bytes: resumedAt, hash } = await partHeld(part, to);
  const file = await open(part, resumedAt > 0 ? 'r+' : 'w');
  let end = resumedAt;
  try {
    await readRemote(sftp, handle, resumedAt, to, async (piece) => {
      hash.update(piece);
      // A disk that fills up may write only a part of the piece, without an error: the rest would be missing although
      // the hash is good.
      for (let put = 0; put < piece.length; ) {
        const { bytesWritten } = await file.write(piece, put, piece.length - put, end);
        put += bytesWritten;
        end += bytesWritten;
      }
    });
    await file.sync();
  } finally {
    await file.close();
  }
  return { sha256: hash.digest('hex'), resumedAt, travelled: end - resumedAt };
};
