import { join, relative } from 'node:path';
import { hashFile } from '../../host/hash-file.ts';
import type { BoardFile } from '../../schemas/steps.ts';

/** A path of the board's own, `/boot/Image`, as this process reaches it. One that is below `root` already stays. */
export const onBoard = (root: string, path: string): string => {
  const way = relative(root, path);
  return way === '' || !way.startsWith('..') ? path : join(root, path);
};

/** The other way round: how the board itself names what is at `path`. */
const boardPath = (root: string, path: string): string => `/${relative(root, path)}`;

/**
 * What a file on the board holds now.
 * @throws {Error} (ENOENT) if it isn't there.
 */
export const lookAtFile = async (root: string, path: string): Promise<BoardFile> => {
  const file = onBoard(root, path);
  return { path: boardPath(root, file), ...(await hashFile(file)) };
};
