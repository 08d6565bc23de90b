import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** Only root can mount the small disks for the tests of a full disk. */
export const mayMount = process.getuid?.() === 0;

/**
 * Mounts a separate disk on a folder and moves the folder's content there. Nothing may work in the folder meanwhile.
 * @param size as in tmpfs(5).
 */
export const mountSmallDisk = async (folder: string, size: string): Promise<void> => {
  const held = `${folder}.held`;
  await mkdir(folder, { recursive: true });
  await rename(folder, held);
  await mkdir(folder);
  await execa('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]);
  // Keeps owner and mode of the folder and its files.
  await execa('cp', ['--archive', `${held}/.`, folder]);
  await rm(held, { recursive: true });
};

export const resizeDisk = (folder: string, size: string) =>
  execa('mount', ['-o', `remount,size=${size}`, folder]);

/** Removes the disk and its content. */
export const unmountDisk = (folder: string) => execa('umount', ['--lazy', folder], { reject: false });

export interface Ballast {
  /** Takes the room that has become free since. */
  add(): void;
  /** Gives the room back. */
  drop(): Promise<void>;
}

const isFull = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOSPC';

/**
 * Fills the disk of a folder until nothing more can be written, even if others write there meanwhile.
 * @param leaveBytes how much stays free.
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
