import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BoardConfig } from '../../schemas/config.ts';
import { lastChange } from '../runtime/disks/last-change.ts';
import { backupsFolder } from './backups-folder.ts';

/** What a backup's archive is called. Beside it, under its name and `.json`, is what it holds. */
export const isArchive = (file: string): boolean => file.endsWith('.tar.zst');

/** The archives of this board's own backups. */
export const archivesOf = async (
  host: BoardConfig,
): Promise<{ path: string; version: string; at: number }[]> => {
  const folder = dirname(backupsFolder(host, '_'));
  const found = [];
  for (const version of await readdir(folder).catch(() => []))
    for (const file of await readdir(backupsFolder(host, version)).catch(() => []))
      if (isArchive(file)) {
        const path = join(backupsFolder(host, version), file);
        found.push({ path, version, at: await lastChange(path) });
      }
  return found.toSorted((a, b) => b.at - a.at);
};
