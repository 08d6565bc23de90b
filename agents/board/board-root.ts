import { join, relative } from 'node:path';
import { hashFile } from '../../host/hash-file.ts';
import type { BoardFile } from '../../schemas/steps.ts';

/** Maps a path on the board, `/boot/Image`, to a path for this process. A path that is already below `root` stays. */
export const onBoard = (root: string, path: string): string => {
  const way = relative(root, path);
  return way === '' || !way.startsWith('..') ? path : join(root, path);
};

/** The inverse: the path on the board itself of what is at `path`. */
const boardPath = (root: string, path: string): string => `/${relative(root, path)}`;

/**
 * Reads the size and the hash of a file on the board.
 * @throws {Error} (ENOENT) if it isn't there.
 */
export const lookAtFile = async (root: string, path: string): Promise<BoardFile> => {
  const file = onBoard(root, path);
  return { path: boardPath(root, file), ...(await hashFile(file)) };
};
