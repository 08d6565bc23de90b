import type { Refusal } from '../../schemas/reasons.ts';

/** What was asked for can't be done as things are: a code with its facts. Whoever shows it makes a sentence of it. */
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
