import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** Only root can mount the small disks that the tests of a full one need. */
export const mayMount = process.getuid?.() === 0;

/**
 * Gives a folder a disk of its own, with what the folder holds. Nobody may be at work in it meanwhile.
 * @param size As tmpfs(5) takes it.
 */
export const mountSmallDisk = async (folder: string, size: string): Promise<void> => {
  const held = `${folder}.held`;
  await mkdir(folder, { recursive: true });
  await rename(folder, held);
  await mkdir(folder);
  await execa('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]);
  // With the folder's own owner and mode, and its files'.
  await execa('cp', ['--archive', `${held}/.`, folder]);
  await rm(held, { recursive: true });
};

export const resizeDisk = (folder: string, size: string) =>
  execa('mount', ['-o', `remount,size=${size}`, folder]);

/** Takes the disk away, and what is on it. */
export const unmountDisk = (folder: string) => execa('umount', ['--lazy', folder], { reject: false });

export interface Ballast {
  /** Takes the room that has become free since. */
  add(): void;
  /** Gives the room back. */
  drop(): Promise<void>;
}

const isFull = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOSPC';

/**
 * Takes all the room of a folder's disk. What others write there meanwhile is not in its way: the disk is full when
 * nothing more can be written.
 * @param leaveBytes So much of it stays free.
 */
export const fillDisk = (folder: string, leaveBytes = 0): Ballast => {
  const file = join(folder, '.ballast');
  const add = () => {
    const ballast = openSync(file, 'a');
    let size = 0;
    try {
      for (const piece of [Buffer.alloc(65_536), Buffer.alloc(4_096)])
        try {
          for (;;) size += writeSync(ballast, piece);
        } catch (error) {
          if (!isFull(error)) throw error;
        }
      if (leaveBytes > 0) ftruncateSync(ballast, Math.max(0, size - leaveBytes));
    } finally {
      closeSync(ballast);
    }
  };
  add();
  return { add, drop: () => rm(file, { force: true }) };
};
