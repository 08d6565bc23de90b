import { open } from 'node:fs/promises';

/** Brings a file, or the names in a folder, to the disk: a rename is there after a power cut only then. */
export const syncPath = async (path: string): Promise<void> => {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};
