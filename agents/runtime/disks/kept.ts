import type { Run } from '../../../host/run.ts';
import type { AttemptId } from '../../../schemas/attempt-id.ts';
import type { Limit } from '../../../schemas/limits.ts';
import type { HostIterations } from './host-iterations.ts';

/** What keeping works with; both end with the agent. */
export interface KeepingTools {
  run: Run;
  signal: AbortSignal;
}

/** One thing on a disk of this host's. */
export interface Kept {
  name: string;
  /** When it was made, or used last, in milliseconds since 1970. */
  at: number;
  /** Whether somebody may still need it: then it stays. */
  isNeeded: boolean;
  /** Where it is, to be measured; or its size, where it is no file. */
  size: { paths: readonly string[] } | { bytes: number };
  /** Removes it. Cut anywhere, what is left does not pass for the whole, and goes the next time. */
  remove: () => Promise<void>;
}

/** The things of one kind, and how many of them their owner keeps. */
export interface Keeping {
  kind: string;
  limit: Limit;
  /**
   * Finds them.
   * @param after the attempt that has just ended; undefined at the start of the agent, or where none has.
   * @returns undefined to leave this kind alone this time.
   */
  list: (iterations: HostIterations, after: AttemptId | undefined) => Promise<readonly Kept[] | undefined>;
}
