import type { Iteration, State } from '../decider/state.ts';
import { verdictsOf } from '../decider/verdicts.ts';
import { endingWords } from './english/reasons.ts';
import { progress, type StepProgress, waitsFor } from './progress.ts';

/** The state of an iteration, as one line shows it. */
export interface SummaryLine {
  iteration: string;
  title: string;
  board: string;
  status: string;
  /** Why it ended; null while it has not. */
  because: string | null;
  waitsFor: string;
  started: string;
  ended: string | null;
}

/** What one line has no room for. */
export interface SummaryDetails {
  steps: Omit<StepProgress, 'since'>[];
  clauses: { id: string; verdict: string }[];
}

/** The state of an iteration, as one JSON document. */
export type Summary = SummaryLine & SummaryDetails;

export const summaryLine = (iteration: Iteration, state: State): SummaryLine => ({
  iteration: iteration.name,
  title: iteration.plan.title,
  board: iteration.plan.board,
  status: iteration.ended?.status ?? 'running',
  because: iteration.ended ? endingWords(iteration.ended) : null,
  waitsFor: waitsFor(iteration, state),
  started: iteration.started.time,
  ended: iteration.ended?.time ?? null,
});

export const summaryDetails = (iteration: Iteration): SummaryDetails => ({
  steps: progress(iteration).map(({ since: _since, ...row }) => row),
  clauses: verdictsOf(iteration).map(({ id, verdict }) => ({ id, verdict })),
});

export const summary = (iteration: Iteration, state: State): Summary => ({
  ...summaryLine(iteration, state),
  ...summaryDetails(iteration),
});
