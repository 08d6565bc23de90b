import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

const rootAbove = (folder: string): string => {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const above = dirname(folder);
  if (above === folder)
    throw new Error('kernel-agent is not in its checkout: no package.json above its code');
  return rootAbove(above);
};

/** The checkout's root, whether this runs from the sources or from the bundle. */
export const checkout = rootAbove(import.meta.dirname);
