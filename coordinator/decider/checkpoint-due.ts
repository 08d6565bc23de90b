import type { State } from './state.ts';

/**
 * The hosts that are to be told what the log holds: those that do not know of the last end or refusal, and after the log was
 * restored those that know of the one before alone.
 */
export const checkpointDue = ({ hosts, lastEnd, checkpoints, epoch }: State): string[] =>
  [...hosts.keys()].filter((host) => {
    const told = checkpoints.get(host);
    return told === undefined ? lastEnd > 0 : told.epoch < epoch || told.size < lastEnd;
  });
