import type { Run } from '../../../host/run.ts';
import { StepFailed } from '../../runtime/errors.ts';

/**
 * As long as a pacman may take. If this is killed before the thaw, the file system stays frozen, and with it the board.
 */
const withinMs = 30 * 60_000;

/**
 * Makes what was written below a folder visible to a boot loader. U-Boot reads ext4 without replaying its journal, and
 * a sync may leave metadata only in the journal; a freeze does not (FIFREEZE, fsfreeze(8)). Nobody, not even this
 * process, can write to the file system until it is thawed. So one child process does both, and it outlives the agent.
 * @throws {StepFailed} (host) if the file system can't be frozen or thawed.
 */
export const flush = async (run: Run, folder: string): Promise<void> => {
  const fsfreeze = (way: '--freeze' | '--unfreeze') => ['-exec', 'fsfreeze', way, '{}', ';'];
  const alone = ['flock', folder]; // the agent and the board's deadline may come at the same time
  try {
    // find(1) runs each only if the one before succeeded, and still exits with 0. Success shows in what it prints.
    const bothWays = [...fsfreeze('--freeze'), ...fsfreeze('--unfreeze'), '-print'];
    const { stdout, stderr } = await run([...alone, 'find', folder, '-maxdepth', '0', ...bothWays], {
      outlive: true,
      quiet: true,
      timeoutMs: withinMs,
    });
    if (stdout.trim() !== folder) throw new Error(stderr.trim());
  } catch (cause) {
    // If it is not frozen this fails, as it should.
    await run(['fsfreeze', '--unfreeze', folder], { outlive: true, quiet: true }).catch(() => undefined);
    throw new StepFailed(
      'host',
      `the file system of ${folder} can't be frozen for a moment (${cause instanceof Error ? cause.message : cause}): where it has no journal, as FAT, leave boot.loader.freeze out of the config.`,
      { cause },
    );
  }
};
