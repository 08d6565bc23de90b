import { mkdirSync } from 'node:fs';
import { readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { createRun } from '../../host/run.ts';
import type { AttemptId } from '../../schemas/attempt-id.ts';
import { NoRoom } from './journal/no-room.ts';
import type { Workplace } from './ports.ts';

/** The room that has to be free before a step is begun again after the journal had none. */
const roomBytes = 1024 * 1024;

const folderOf = ({ iteration, step, attempt }: AttemptId): string => `${step}.${iteration}.${attempt}`;

/** A workplace on this machine: each attempt's folder is in `work`, below the host's own. */
export const createWorkplace = (stateFolder: string): Workplace => {
  const work = join(stateFolder, 'work');
  return {
    makeFolder(attempt) {
      const folder = join(work, folderOf(attempt));
      try {
        mkdirSync(folder, { recursive: true });
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
        throw new NoRoom(`${folder} can't be made: ${message}`, { cause: error });
      }
      return folder;
    },
    async keepFolders(open) {
      const names = new Set(open.map(folderOf));
      for (const name of await readdir(work).catch(() => []))
        if (!names.has(name)) await rm(join(work, name), { recursive: true, force: true });
    },
    async hasRoom() {
      const { bavail, bsize } = await statfs(stateFolder);
      return bavail * bsize >= roomBytes;
    },
    run: createRun,
  };
};
