import { dirname } from 'node:path';
import { isThere } from '../../host/is-there.ts';
import type { Run } from '../../host/run.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import { onBoard } from './board-root.ts';

/**
 * Syncs to the disk what pacman and the initramfs command wrote, since they don't do it themselves. The journal is
 * synced, so if an effect were noted as done before this, a power cut could lose its files but not the note. Root and
 * boot files may be on separate file systems.
 */
export const syncBoard = async (run: Run, host: Pick<BoardConfig, 'root' | 'boot'>): Promise<void> => {
  const folders = [host.root];
  for (const path of [host.boot.image, host.boot.initramfs]) {
    const folder = dirname(onBoard(host.root, path));
    if (await isThere(folder)) folders.push(folder); // a lost folder is made again by a put-back
  }
  await run(['sync', '--file-system', '--', ...folders]);
};
