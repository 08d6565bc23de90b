import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { ownAddon } from '../deploy/enrol/sqlite-addon.ts';

/** Compiles better-sqlite3's addon before the tests if npm alone has installed the packages: it runs no script. */
export const setup = (): void => {
  if (existsSync(ownAddon().file)) return;
  execFileSync(process.execPath, ['--import', 'tsx', 'deploy/enrol/own-addon-main.ts'], {
    cwd: resolve(import.meta.dirname, '..'),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
};
