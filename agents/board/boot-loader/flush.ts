import { StepFailed } from '../../runtime/errors.ts';
import type { Run } from '../../runtime/run.ts';

const withinMs = 60_000;

/**
 * Brings what was written below a folder to where a boot loader looks for it. U-Boot reads ext4 without replaying its
 * journal, and a sync may leave metadata in that alone; a freeze doesn't (FIFREEZE, fsfreeze(8)). Nothing can be written to the
 * file system until it is thawed, not by this process either: so one process does both, and the agent's end does not end it.
 * @throws {StepFailed} (host) if the file system can't be frozen.
 */
export const flush = async (run: Run, folder: string): Promise<void> => {
  const fsfreeze = (way: '--freeze' | '--unfreeze') => ['-exec', 'fsfreeze', way, '{}', ';'];
  try {
    // find(1) begins the second only if the first went well.
    await run(['find', folder, '-maxdepth', '0', ...fsfreeze('--freeze'), ...fsfreeze('--unfreeze')], {
      outlive: true,
      quiet: true,
      timeoutMs: withinMs,
    });
  } catch (cause) {
    throw new StepFailed(
      'host',
      `the file system of ${folder} can't be frozen for a moment: where it has no journal, as FAT, leave boot.loader.freeze out of the config.`,
      { cause },
    );
  }
};
