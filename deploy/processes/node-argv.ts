import { createRequire } from 'node:module';
import { join } from 'node:path';
import { checkout } from '../checkout.ts';

const fromSources = import.meta.url.endsWith('.ts');

/**
 * How a file of this checkout is run, from whatever folder: its path from the checkout's root, as a source. A bundle
 * starts the bundles beside it, which takes a third of the time; sources, as in a test, are run through tsx.
 */
export const nodeArgv = (file: string, ...args: readonly string[]): string[] =>
  fromSources
    ? [
        process.execPath,
        '--import',
        createRequire(import.meta.url).resolve('tsx'),
        join(checkout, file),
        ...args,
      ]
    : [process.execPath, join(checkout, 'dist', file.replace(/\.ts$/, '.js')), ...args];
