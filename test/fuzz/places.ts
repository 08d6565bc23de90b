import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const above = (folder: string): string =>
  existsSync(join(folder, 'package.json')) ? folder : above(dirname(folder));

/** The checkout, wherever below it this runs: the fuzzer's workers run from a bundle. */
export const repositoryRoot = above(dirname(fileURLToPath(import.meta.url)));
