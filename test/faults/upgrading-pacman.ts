import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BoardConfig } from '../../schemas/config.ts';
import { patienceMs } from '../patience.ts';

/** Whether a process holds a file open; false if it ends during the check. */
const holds = (pid: string, file: string): boolean => {
  try {
    const fds = `/proc/${pid}/fd`;
    return readdirSync(fds).some((fd) => readlinkSync(join(fds, fd)) === file);
  } catch {
    return false;
  }
};

/** The lock file that pacman holds while it changes something. */
export const pacmanLock = ({ pacman }: BoardConfig): string => join(pacman.databaseFolder, 'db.lck');

/** Waits for the board's pacman to hold the lock. @returns its pid. @throws {Error} if none does in time. */
export const upgradingPacman = async (host: BoardConfig): Promise<number> => {
  for (const until = Date.now() + patienceMs; Date.now() < until; await sleep(2)) {
    if (!existsSync(pacmanLock(host))) continue;
    const holder = readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && holds(pid, pacmanLock(host)));
    if (holder !== undefined) return Number(holder);
  }
  throw new Error('no pacman started');
};
