import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { sandboxPlaces } from '../places/sandbox-places.ts';
import { end } from '../processes/process-identity.ts';
import { descendantsOf } from '../processes/process-tree.ts';
import { sandboxHolder } from './sandbox-lock.ts';
import { stopSandbox } from './start-stop.ts';

/** Ends all descendants of this process, including those that start meanwhile. */
const endOwnProcesses = async (): Promise<void> => {
  for (;;) {
    const running = descendantsOf(process.pid);
    if (running.length === 0) return;
    await Promise.all(running.map((each) => end(each)));
    await sleep(25);
  }
};

/**
 * From now on Ctrl-C or SIGTERM ends this command and everything that it has started: programs that make a fleet, the
 * fleet, its virtual board. A fleet that ran in the folder before is not ended. The exit code is the shell's for that
 * signal, 130 or 143. A second signal ends this command at once.
 */
export const endOnSignal = (folder: string, onProgress: (line: string) => void): void => {
  const holderNow = () => sandboxHolder(sandboxPlaces(folder))?.pid;
  const others = [process.pid, holderNow()];
  let ending = false;
  const endAll = async (name: 'SIGINT' | 'SIGTERM') => {
    const code = 128 + constants.signals[name];
    if (ending) process.exit(code);
    ending = true;
    onProgress(`${name}: ending what this command has started`);
    try {
      const holder = holderNow();
      if (holder !== undefined && !others.includes(holder)) await stopSandbox(folder);
      await endOwnProcesses();
    } finally {
      process.exit(code);
    }
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => void endAll(name));
};
