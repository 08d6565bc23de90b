import type { Random } from './random.ts';
import type { VirtualTime } from './virtual-time.ts';

/** What must hold in each schedule. */
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

/** One schedule while it runs: its chance, its clock, and what was found. */
export interface Simulation {
  readonly random: Random;
  readonly time: VirtualTime;
  /** Whether things still go wrong; afterwards every host that is not off for good is well. */
  faulty: boolean;
  /** What the server's clock shows, in milliseconds since 1970. */
  serverClock(): number;
  /** What people's clocks show, in milliseconds since 1970: it jumps. */
  wallClock(): number;
  /** The first property that was found broken. */
  broken: Broken | undefined;
  breaks(property: Property, how: string): void;
  /** Where something was killed, counted: each boundary has to be met. */
  readonly killedAt: Map<string, number>;
  /** A line of the trace; undefined while nobody reads it. */
  readonly trace: ((line: string) => void) | undefined;
}

class Killed extends Error {
  override readonly name = 'Killed';
}

/** Thrown at a boundary at which a process is killed. Nothing of it runs after that. One is enough: nobody reads its stack. */
export const killed = new Killed('killed');
