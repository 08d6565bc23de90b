import type { Refusal } from '../../schemas/reasons.ts';

/**
 * What was asked for can't be done as things are. Holds a code with its facts, which the reader's side renders as a
 * sentence.
 */
export class RefusedByDecider extends Error {
  override readonly name = 'RefusedByDecider';
  readonly reason: Refusal;
  /** The iteration that it is about. */
  readonly iteration: string;

  constructor(iteration: string, reason: Refusal) {
    super(`${iteration}: ${reason.code}`);
    this.iteration = iteration;
    this.reason = reason;
  }
}
