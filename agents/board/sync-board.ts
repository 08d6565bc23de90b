import { dirname } from 'node:path';
import { isThere } from '../../host/is-there.ts';
import type { Run } from '../../host/run.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import { onBoard } from './board-root.ts';

/**
 * Brings what pacman and the initramfs command wrote to the disk: they don't themselves. The journal does, so an effect
 * that is noted as done before this would be, after a power cut, the files that it never wrote. Root and boot files may be
 * on file systems of their own.
 */
export const syncBoard = async (run: Run, host: Pick<BoardConfig, 'root' | 'boot'>): Promise<void> => {
  const folders = [host.root];
  for (const path of [host.boot.image, host.boot.initramfs]) {
    const folder = dirname(onBoard(host.root, path));
    if (await isThere(folder)) folders.push(folder); // one that was lost is what a put-back makes again
  }
  await run(['sync', '--file-system', '--', ...folders]);
};
