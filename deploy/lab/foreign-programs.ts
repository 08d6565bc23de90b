import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Run } from '../../host/run.ts';

const binfmt = '/proc/sys/fs/binfmt_misc';
const handler = `${binfmt}/qemu-aarch64`;

const isEnabled = async (): Promise<boolean> =>
  (await readFile(handler, 'utf8').catch(() => '')).startsWith('enabled');

/**
 * Lets this machine run programs for arm64, as Debian's packages qemu-user-static and binfmt-support do at boot: they
 * register the emulator in the kernel by binfmt_misc, Documentation/admin-guide/binfmt-misc.rst.
 * @throws {Error} if that is impossible, as often in a container.
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
