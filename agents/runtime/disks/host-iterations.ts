import type { AttemptId } from '../../../schemas/attempt-id.ts';
import type { StepName } from '../../../schemas/step-names.ts';
import type { Journal } from '../journal/journal.ts';
import { readRequest } from '../run-step.ts';

/** What a host knows of the iterations that it has worked for, by its own journal. */
export interface HostIterations {
  /**
   * Whether an iteration goes on, as far as this host can tell. One has ended only where the coordinator has said, after all
   * that this host was asked for it, which ones go on.
   */
  isOpen(iteration: string): boolean;
  /** What this host was asked in an attempt; undefined if it was not. @throws {StepFailed} if this version can't read it. */
  requestOf(attempt: AttemptId): unknown;
  /** The attempts of a step that this host was asked for, in iterations that go on. */
  openAttempts(step: StepName): AttemptId[];
  /** What was journalled of an effect: what was known before it was begun, and what it gave. */
  effect(attempt: AttemptId, name: string): { before: unknown; result: unknown } | undefined;
}

export const readIterations = (journal: Journal): HostIterations => {
  const told = journal.checkpoints.told();
  const newer = new Set(journal.requests.iterationsAfter(told?.size ?? 0));
  const open = new Set(told?.open);
  const isOpen = (iteration: string) => told === undefined || open.has(iteration) || newer.has(iteration);
  return {
    isOpen,
    openAttempts: (step) => journal.requests.ofStep(step).filter(({ iteration }) => isOpen(iteration)),
    requestOf(attempt) {
      const bytes = journal.requests.bytesOf(attempt);
      return bytes && readRequest(journal, bytes).data.request;
    },
    effect(attempt, name) {
      const entry = journal.effects.of(attempt, name);
      return entry && { before: JSON.parse(entry.before), result: JSON.parse(entry.result ?? 'null') };
    },
  };
};
