import { readdirSync } from 'node:fs';
import { type ProcessIdentity, processStat, signal } from './process-identity.ts';

/**
 * A process's children, their children and so on, by the parents in /proc. A process whose own parent has ended is not
 * included: its parent is now process 1.
 */
export const descendantsOf = (pid: number): ProcessIdentity[] => {
  const root = processStat(pid);
  if (!root) return [];
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => processStat(Number(name)) ?? []);
  const found = [];
  const parents = [root];
  for (let parent = parents.shift(); parent; parent = parents.shift()) {
    const { pid: parentPid, startTicks } = parent;
    // A child that is older than its parent belongs to an earlier process of the same pid.
    const children = all.filter((each) => each.parent === parentPid && +each.startTicks >= +startTicks);
    parents.push(...children);
    found.push(...children);
  }
  return found.map((each) => ({ pid: each.pid, startTicks: each.startTicks }));
};

/**
 * Sends SIGKILL to a process and all its descendants. They are stopped first, until no new one is found: killing a
 * process while its child forks would leave a grandchild that is no longer found through its parents.
 */
export const killTree = (pid: number): void => {
  const root = processStat(pid);
  if (!root) return;
  const stopped = new Map<number, ProcessIdentity>();
  for (;;) {
    const fresh = [root, ...descendantsOf(pid)].filter((each) => !stopped.has(each.pid));
    if (fresh.length === 0) break;
    for (const each of fresh) {
      signal(each, 'SIGSTOP');
      stopped.set(each.pid, each);
    }
  }
  for (const each of stopped.values()) signal(each, 'SIGKILL');
};
