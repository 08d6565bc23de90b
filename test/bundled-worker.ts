import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { checkout } from '../deploy/checkout.ts';

/**
 * Bundles a worker's source into one file, which threads can run and which is faster than the sources through tsx. Hands it
 * to `use`, and takes it away.
 * @param source of the worker, relative to this folder.
 */
export const withBundledWorker = async <Result>(
  source: string,
  use: (workerFile: string) => Promise<Result>,
): Promise<Result> => {
  mkdirSync(join(checkout, '.ka'), { recursive: true });
  const name = basename(source, '.ts');
  const folder = mkdtempSync(join(checkout, '.ka', `${name}-`));
  try {
    const outfile = join(folder, `${name}.mjs`);
    await build({
      entryPoints: [join(checkout, 'test', source)],
      outfile,
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      packages: 'external',
      logLevel: 'warning',
    });
    return await use(outfile);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
