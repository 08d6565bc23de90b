import { constants } from 'node:os';
import { sandboxPlaces } from './places.ts';
import { end } from './process-identity.ts';
import { descendantsOf } from './process-tree.ts';
import { stopSandbox } from './sandbox.ts';
import { sandboxHolder } from './sandbox-lock.ts';

/** Ends whatever this process has started, and what that starts meanwhile. */
const endOwnProcesses = async (): Promise<void> => {
  for (;;) {
    const running = descendantsOf(process.pid);
    if (running.length === 0) return;
    await Promise.all(running.map((each) => end(each)));
  }
};

/**
 * From now on Ctrl-C or SIGTERM ends this command and all that it has started: programs that make a fleet, the fleet, its
 * virtual board. The exit code is the shell's for that signal, 130 or 143.
 */
export const endOnSignal = (folder: string, onProgress: (line: string) => void): void => {
  let ending = false;
  const endAll = async (name: 'SIGINT' | 'SIGTERM') => {
    if (ending) return;
    ending = true;
    onProgress(`${name}: ending what this command has started`);
    const holder = sandboxHolder(sandboxPlaces(folder));
    if (holder && holder.pid !== process.pid) await stopSandbox(folder);
    await endOwnProcesses();
    process.exit(128 + constants.signals[name]);
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => void endAll(name));
};
