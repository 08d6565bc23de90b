import type { State } from './state.ts';

/**
 * The hosts that are to be told what the log holds: those of an iteration that has ended since, and after the log was restored
 * those that know of the one before alone. A host that has never started can't be told.
 */
export const checkpointDue = ({ hosts, untold }: Pick<State, 'hosts' | 'untold'>): string[] =>
  [...untold.keys()].filter((host) => hosts.has(host));
