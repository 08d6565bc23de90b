import type { State } from './state.ts';

/**
 * The hosts that are due a checkpoint: those whose last one does not cover the last end of an iteration, and those
 * whose last one is of an epoch before the log was restored.
 */
export const checkpointDue = ({ hosts, lastEnd, checkpoints, epoch }: State): string[] =>
  [...hosts.keys()].filter((host) => {
    const told = checkpoints.get(host);
    return told === undefined ? lastEnd > 0 : told.epoch < epoch || told.size < lastEnd;
  });
