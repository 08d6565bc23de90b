import type { Run } from '../../../host/run.ts';
import { StepFailed } from '../../runtime/errors.ts';

/** As long as a pacman may take: a file system whose thaw was killed stays frozen, and with it the board. */
const withinMs = 30 * 60_000;

/**
 * Brings what was written below a folder to where a boot loader looks for it. U-Boot reads ext4 without replaying its
 * journal, and a sync may leave metadata in that alone; a freeze doesn't (FIFREEZE, fsfreeze(8)). Nothing can be written to the
 * file system until it is thawed, not by this process either: so one process does both, and the agent's end does not end it.
 * @throws {StepFailed} (host) if the file system can't be frozen, or not be thawed.
 */
export const flush = async (run: Run, folder: string): Promise<void> => {
  const fsfreeze = (way: '--freeze' | '--unfreeze') => ['-exec', 'fsfreeze', way, '{}', ';'];
  const alone = ['flock', folder]; // the agent and the board's deadline may come at the same time
  try {
    // find(1) begins each only if the one before went well, and ends well all the same: what it prints tells.
    const bothWays = [...fsfreeze('--freeze'), ...fsfreeze('--unfreeze'), '-print'];
    const { stdout, stderr } = await run([...alone, 'find', folder, '-maxdepth', '0', ...bothWays], {
      outlive: true,
      quiet: true,
      timeoutMs: withinMs,
    });
    if (stdout.trim() !== folder) throw new Error(stderr.trim());
  } catch (cause) {
    // Where it is not frozen this fails, as it should.
    await run(['fsfreeze', '--unfreeze', folder], { outlive: true, quiet: true }).catch(() => undefined);
    throw new StepFailed(
      'host',
      `the file system of ${folder} can't be frozen for a moment (${cause instanceof Error ? cause.message : cause}): where it has no journal, as FAT, leave boot.loader.freeze out of the config.`,
      { cause },
    );
  }
};
