import { dirname } from 'node:path';
import type { BoardConfig } from '../../schemas/config.ts';
import type { Run } from '../runtime/run.ts';
import { onBoard } from './board-root.ts';

/**
 * Brings what pacman and the initramfs command wrote to the disk: they don't themselves. The journal does, so an effect
 * that is noted as done before this would be, after a power cut, the files that it never wrote. Root and boot files may be
 * on file systems of their own.
 */
export const syncBoard = async (run: Run, host: Pick<BoardConfig, 'root' | 'boot'>): Promise<void> => {
  const folders = [host.boot.image, host.boot.initramfs].map((path) => dirname(onBoard(host.root, path)));
  await run(['sync', '--file-system', '--', host.root, ...folders]);
};
