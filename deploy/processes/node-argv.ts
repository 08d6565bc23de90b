import { createRequire } from 'node:module';
import { join } from 'node:path';
import { checkout } from '../checkout.ts';

const fromSources = import.meta.url.endsWith('.ts');

/**
 * The command that runs a file of this checkout from any folder. Bundled code starts the bundle of that file, which
 * takes a third of the time; sources, as in a test, are run through tsx.
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
