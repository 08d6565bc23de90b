import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { checkout } from '../deploy/checkout.ts';

/** A line of a source file, whose path is relative to the checkout, and its replacement. */
export interface Replacement {
  file: string;
  line: string;
  by: string;
}

/**
 * Replaces the line in the build.
 * @throws {Error} in the build, unless the file holds the line exactly once: the source has changed then.
 */
const replacing = ({ file, line, by }: Replacement): Plugin => ({
  name: 'replacing',
  setup(build) {
    const path = join(checkout, file);
    build.onLoad({ filter: /\.ts$/ }, async (loaded) => {
      if (loaded.path !== path) return undefined;
      const parts = (await readFile(path, 'utf8')).split(line);
      if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${line}`);
      return { contents: parts.join(by), loader: 'ts' };
    });
  },
});

/**
 * Bundles a worker's source into one file, which threads can run and which is faster than the sources through tsx.
 * Passes it to `use`, and removes it afterwards.
 * @param source the worker's file, relative to this folder.
 * @param replacement a line of the sources that is replaced in the bundle.
 */
export const withBundledWorker = async <Result>(
  source: string,
  use: (workerFile: string) => Promise<Result>,
  replacement?: Replacement,
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
      plugins: replacement ? [replacing(replacement)] : [],
    });
    return await use(outfile);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
