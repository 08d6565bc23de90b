import { createRequire } from 'node:module';
import { join } from 'node:path';

const checkout = join(import.meta.dirname, '../..');
const loader = createRequire(import.meta.url).resolve('tsx');

/** How a TypeScript file of this checkout is run, from whatever folder: its path from the checkout's root. */
export const nodeArgv = (file: string, ...args: readonly string[]): string[] => [
  process.execPath,
  '--import',
  loader,
  join(checkout, file),
  ...args,
];
