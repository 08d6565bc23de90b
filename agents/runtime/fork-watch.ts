import type { Journal } from './journal/journal.ts';
import type { Trouble } from './trouble.ts';

/** Watches whether the log is still the one that this host knew. The host does not work for a forked log. */
export interface ForkWatch {
  isForked(): boolean;
  /** Looks for a fork in the journal. */
  look(): void;
}

/** @param onLook called after each look with whether the log is forked. */
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
