import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Run } from '../../host/run.ts';
import { compileAddon, ownTarget } from './node-gyp.ts';

/**
 * Compiles ssh2's own cipher for this checkout, with which transfers are faster. It works without: no host has it.
 * @throws if it can't be compiled.
 */
export const makeSshAddon = async (run: Run): Promise<void> => {
  const package_ = dirname(createRequire(import.meta.url).resolve('ssh2/package.json'));
  const home = await mkdtemp(join(tmpdir(), 'ka-gyp-'));
  try {
    const [major = ''] = process.versions.openssl.split('.');
    const args = [`--real_openssl_major=${major}`];
    await compileAddon(run, join(package_, 'lib/protocol/crypto'), ownTarget(), { home, args });
  } finally {
    await rm(home, { recursive: true, force: true });
  }
};
