import type { Random } from './random.ts';
import type { VirtualTime } from './virtual-time.ts';

/** The properties that must hold in each schedule. */
export type Property =
  | 'an effect happens at most once past its probe'
  | 'an effect that is done is never asked about again'
  | 'a request is acked once it is in the journal'
  | 'a step that has succeeded has had every effect'
  | 'nothing is begun for an attempt that the host knows to be superseded'
  | 'no outcome is lost'
  | 'a subject holds one fact'
  | 'each event of a daemon follows from its one before'
  | 'never two open attempts of one step'
  | 'an iteration ends, or waits for a named person or host'
  | 'the code under test does not throw';

export interface Broken {
  property: Property;
  how: string;
}

/** One running schedule: its random numbers, its clock, and what was found. */
export interface Simulation {
  readonly random: Random;
  readonly time: VirtualTime;
  /** Whether there are still faults; afterwards every host that is not off for good is well. */
  faulty: boolean;
  /** The server's clock, in milliseconds since 1970. */
  serverClock(): number;
  /** The clock that people set, in milliseconds since 1970: it jumps. */
  wallClock(): number;
  /** The first broken property. */
  broken: Broken | undefined;
  breaks(property: Property, how: string): void;
  /** How often a process was killed at each boundary: each one has to be met. */
  readonly killedAt: Map<string, number>;
  /** Writes a line of the trace; undefined if nobody reads it. */
  readonly trace: ((line: string) => void) | undefined;
}

class Killed extends Error {
  override readonly name = 'Killed';
}

/**
 * Thrown at a boundary at which a process is killed. Nothing of the process runs after that. One object is enough: its
 * stack is not read.
 */
export const killed = new Killed('killed');
