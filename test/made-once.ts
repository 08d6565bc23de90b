import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'vitest';

/** Runs one at a time over all processes. The lock is its holder's: a worker that is killed leaves none. */
const alone = async <Result>(lock: string, act: () => Promise<Result>): Promise<Result> => {
  const holder = spawn('flock', ['--no-fork', lock, 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(holder, 'spawn');
  try {
    holder.stdin.on('error', () => undefined); // the exit says it
    holder.stdin.write('held\n');
    const failed = once(holder, 'exit').then(([code]) => {
      throw new Error(`flock ${lock} ended with exit code ${code}`);
    });
    failed.catch(() => undefined); // it ends for good, later
    await Promise.race([once(holder.stdout, 'data'), failed]);
    return await act();
  } finally {
    holder.stdin.end();
  }
};

/**
 * Makes what takes long once for all test files of a run: the first that asks makes it, the others wait. Nobody may change
 * it then. It does not outlive the run; in a run that watches, the name has to tell what it is made from.
 * @param make Puts it into the folder that it is given, which has another name afterwards.
 * @returns The folder that holds it.
 */
export const madeOnce = (name: string, make: (folder: string) => Promise<void>): Promise<string> => {
  const folder = join(inject('runFolder'), name);
  return alone(`${folder}.lock`, async () => {
    if (existsSync(folder)) return folder;
    const part = `${folder}.part`;
    await rm(part, { recursive: true, force: true });
    await mkdir(part);
    await make(part);
    await rename(part, folder);
    return folder;
  });
};
