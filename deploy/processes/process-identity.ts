import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process, distinguished from a later one with the same pid. */
export interface ProcessIdentity {
  pid: number;
  /** When it started, in clock ticks since the machine's boot: field 22 of /proc/PID/stat, proc(5). */
  startTicks: string;
}

/** The process that now has this pid, with its parent, from /proc; undefined as in {@link identify}. */
export const processStat = (pid: number): (ProcessIdentity & { parent: number }) | undefined => {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is the program's name in brackets, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, parent, startTicks] = [fields[0], fields[1], fields[19]];
  return state === 'Z' || startTicks === undefined ? undefined : { pid, startTicks, parent: Number(parent) };
};

/** The process that now has this pid; undefined if there is none, or one that has ended and waits to be collected. */
export const identify = (pid: number): ProcessIdentity | undefined => {
  const stat = processStat(pid);
  return stat && { pid, startTicks: stat.startTicks };
};

export const isRunning = ({ pid, startTicks }: ProcessIdentity): boolean =>
  identify(pid)?.startTicks === startTicks;

/** Signals exactly that process. Returns false if it does not exist any more. */
export const signal = (process_: ProcessIdentity, name: NodeJS.Signals): boolean => {
  if (!isRunning(process_)) return false;
  try {
    process.kill(process_.pid, name);
    return true;
  } catch {
    return false;
  }
};

/** Ends it: SIGTERM, and SIGKILL if it is still there after `graceMs`. */
export const end = async (process_: ProcessIdentity, graceMs = 10_000): Promise<void> => {
  if (!signal(process_, 'SIGTERM')) return;
  for (let waitedMs = 0; waitedMs < graceMs; waitedMs += 25) {
    await sleep(25);
    if (!isRunning(process_)) return;
  }
  signal(process_, 'SIGKILL');
  while (isRunning(process_)) await sleep(25);
};
