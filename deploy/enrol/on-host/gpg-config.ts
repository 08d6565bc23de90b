import { hash } from 'node:crypto';
import { existsSync, lstatSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../../host/run.ts';
import type { PlacedFile } from './place-file.ts';

/**
 * gpg's config in pacman's keyring as it should be; undefined if it is so already. After a boot without a clock, gpg
 * refuses keys that seem to be from the future, and pacman installs nothing. gpg(1), --ignore-time-conflict
 */
export const wantedGpgConfig = async (
  run: Run,
  pacmanConfig: string,
): Promise<{ file: PlacedFile; bytes: Buffer } | undefined> => {
  const { stdout } = await run(['pacman-conf', '--config', pacmanConfig, 'GPGDir'], { quiet: true });
  const folder = stdout.trim();
  if (!folder.startsWith('/') || !existsSync(folder))
    throw new Error(
      `pacman's keyring ${folder}, as ${pacmanConfig} names it, is not there: make it with pacman-key --init, then enrol again`,
    );
  const path = join(folder, 'gpg.conf');
  const seen = lstatSync(path, { throwIfNoEntry: false });
  if (seen && !seen.isFile())
    throw new Error(`${path} is no file (a link is not followed): put a file there, then enrol again`);
  const text = seen ? await readFile(path, 'utf8') : '';
  if (/^[ \t]*ignore-time-conflict\b/m.test(text)) return undefined;
  const bytes = Buffer.from(`${text}${text === '' || text.endsWith('\n') ? '' : '\n'}ignore-time-conflict\n`);
  const { mode, uid, gid } = seen ?? { mode: 0o644, uid: 0, gid: 0 };
  const file = { path, mode: mode & 0o777, owner: { uid, gid }, sha256: hash('sha256', bytes, 'hex') };
  return { file, bytes };
};
