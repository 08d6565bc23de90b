import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../host/run.ts';
import { checkout } from '../checkout.ts';

const source = join(checkout, 'examples/lab/fence-sweep.c');

/**
 * Compiles the lab's sweep for the board, statically, so that it only needs the kernel there. Returns the program's
 * file, `fence-sweep` in the folder.
 * @throws {ProgramFailed} if the compiler, its static libc or the kernel's headers (6.0 or newer) are missing.
 */
export const buildSweepProgram = async (
  run: Run,
  into: string,
  compiler = 'aarch64-linux-gnu-gcc',
): Promise<string> => {
  const program = join(into, 'fence-sweep');
  await mkdir(into, { recursive: true });
  await run(
    [
      ...[compiler, '-std=gnu11', '-O2', '-Wall', '-Wextra', '-Wconversion', '-Werror', '-static', '-s'],
      ...['-o', program, source],
    ],
    { quiet: true, timeoutMs: 120_000 },
  );
  return program;
};
