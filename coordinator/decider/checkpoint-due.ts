import type { State } from './state.ts';

/**
 * The hosts that are due a checkpoint: those of an iteration that has ended, or of a start that was refused, since their
 * last one, and after a restore those whose last one is of an earlier epoch. A host that has never started is not told.
 */
export const checkpointDue = ({ hosts, untold }: Pick<State, 'hosts' | 'untold'>): string[] =>
  [...untold.keys()].filter((host) => hosts.has(host));
