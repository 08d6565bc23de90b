import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Run } from '../../host/run.ts';

const binfmt = '/proc/sys/fs/binfmt_misc';
const handler = `${binfmt}/qemu-aarch64`;

const isEnabled = async (): Promise<boolean> =>
  (await readFile(handler, 'utf8').catch(() => '')).startsWith('enabled');

/**
 * Lets this machine run programs for arm64, as Debian's packages of qemu-user-static and binfmt-support do at boot:
 * the kernel is told of the emulator by binfmt_misc, Documentation/admin-guide/binfmt-misc.rst.
 * @throws {Error} if it can't be: a container often may not.
 */
export const enableForeignPrograms = async (run: Run): Promise<void> => {
  if (process.arch === 'arm64' || (await isEnabled())) return;
  try {
    if (!existsSync(`${binfmt}/register`)) await run(['mount', '-t', 'binfmt_misc', 'none', binfmt]);
    await run(['update-binfmts', '--enable', 'qemu-aarch64']);
  } catch (cause) {
    throw new Error(
      `this machine can't be made to run programs for arm64 (${cause instanceof Error ? cause.message : cause}): run this as root where ${binfmt} may be mounted`,
      { cause },
    );
  }
  if (!(await isEnabled()))
    throw new Error(
      `update-binfmts --enable qemu-aarch64 left ${handler} disabled or absent; see: update-binfmts --display qemu-aarch64`,
    );
};
