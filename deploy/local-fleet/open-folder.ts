import { chmod, lstat, mkdir } from 'node:fs/promises';

/** Makes a folder that everybody may read, whatever the umask. */
export const makeOpenFolder = async (folder: string): Promise<void> => {
  await mkdir(folder, { recursive: true });
  if (((await lstat(folder)).mode & 0o777) !== 0o755) await chmod(folder, 0o755);
};
