import { open } from 'node:fs/promises';

/** Syncs a file, or the names in a folder, to the disk. Only then does a rename survive a power cut. */
export const syncPath = async (path: string): Promise<void> => {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};
