import type { Journal } from './journal/journal.ts';
import type { Trouble } from './trouble.ts';

/** Whether the log is the one that this host knew: for another one it does not work. */
export interface ForkWatch {
  isForked(): boolean;
  /** Looks into the journal. */
  look(): void;
}

/** @param onLook told whether the log is forked, each time that was looked at. */
export const createForkWatch = (
  journal: Journal,
  trouble: Trouble,
  onLook: (isForked: boolean) => void,
): ForkWatch => {
  let isForked = false;
  return {
    isForked: () => isForked,
    look() {
      const fork = journal.checkpoints.fork();
      isForked = fork !== undefined;
      onLook(isForked);
      trouble.set(
        'log',
        fork ? `${fork.why}; nothing is begun until the log is restored: ka log restore` : null,
      );
    },
  };
};
