import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MachineFault, ProgramFailed } from './errors.ts';

/** How many bytes are going to be written into a folder, which need not exist yet. */
export interface Need {
  folder: string;
  bytes: number;
}

const megabytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MB`;

const orAbove = async <Seen>(folder: string, look: (folder: string) => Promise<Seen>): Promise<Seen> =>
  look(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' || folder === dirname(folder)) throw error;
    return orAbove(dirname(folder), look);
  });

/**
 * Checks, before anything is begun, whether there is room for what is going to be written. Needs on one file system add
 * up.
 * @param what what needs the room, for the error: "the publication".
 * @throws {MachineFault} (no-room) naming the folder, what is free there and what is needed.
 */
export const requireRoom = async (what: string, needs: readonly Need[]): Promise<void> => {
  const disks = new Map<number, { folder: string; bytes: number }>();
  for (const { folder, bytes } of needs) {
    const { dev } = await orAbove(folder, (at) => stat(at));
    const before = disks.get(dev);
    disks.set(dev, { folder: before?.folder ?? folder, bytes: (before?.bytes ?? 0) + bytes });
  }
  for (const { folder, bytes } of disks.values()) {
    const { bavail, bsize } = await orAbove(folder, (at) => statfs(at));
    const free = bavail * bsize;
    if (free < bytes)
      throw new MachineFault(
        'no-room',
        `${megabytes(free)} are free in ${folder} and ${what} needs ${megabytes(bytes)}: make room there.`,
      );
  }
};

const saidNoRoom = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false;
  if ('code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')) return true;
  return error instanceof ProgramFailed
    ? // Lines that git passes on from a remote are about the remote's disk.
      /^(?!remote: ).*(No space left on device|Disk quota exceeded)/m.test(`${error.stdout}\n${error.stderr}`)
    : saidNoRoom(error.cause);
};

/**
 * Runs work that writes into a folder. A full disk would still be full a second later, so it is reported at once.
 * @throws {MachineFault} (no-room) naming the folder, if there was no room; whatever else `work` throws.
 */
export const orNoRoom = async <Result>(folder: string, work: () => Promise<Result>): Promise<Result> => {
  try {
    return await work();
  } catch (error) {
    if (!saidNoRoom(error)) throw error;
    throw new MachineFault('no-room', `There is no room left on the disk of ${folder}: make room there.`, {
      cause: error,
    });
  }
};
