import { dirname } from 'node:path';
import type { BoardConfig } from '../../schemas/config.ts';
import type { StepContext } from '../runtime/step.ts';
import { onBoard } from './board-root.ts';

/**
 * The effect that comes before a reboot: pacman writes nothing through to the disk, and the next boot may find half
 * of it. Root and boot files may be on file systems of their own.
 */
export const syncBoard = ({
  effect,
  host,
  run,
}: Pick<StepContext<BoardConfig, 'sync'>, 'effect' | 'host' | 'run'>) =>
  effect('sync', {
    probe: () => ({ happened: 'no' }),
    act: async () => {
      const folders = [host.boot.image, host.boot.initramfs].map((path) => dirname(onBoard(host.root, path)));
      await run(['sync', '--file-system', '--', host.root, ...folders]);
      return null;
    },
  });
