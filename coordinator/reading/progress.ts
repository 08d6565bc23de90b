import type { StepName } from '../../schemas/step-names.ts';
import { stepNames } from '../../schemas/step-names.ts';
import { forwardSteps, reviewOf } from '../decider/graph.ts';
import {
  evidenceOf,
  type Iteration,
  lastAttempt,
  lostBoard,
  openAttemptsOf,
  type State,
} from '../decider/state.ts';
import { lostWords, supersededWords } from './english/reasons.ts';
import { lastSeenOf } from './event-line.ts';

/** The progress of a step, for people who watch. Times are milliseconds since 1970. */
export interface StepProgress {
  step: StepName | 'review';
  status: 'pending' | 'open' | 'succeeded' | 'failed' | 'superseded';
  host: string;
  attempt: number;
  since?: number;
  /** How long it took, once it has succeeded. */
  seconds?: number;
  /** What it waits for, or why it failed. */
  remark: string;
}

const progressOf = (iteration: Iteration, step: StepName): StepProgress => {
  const attempt = lastAttempt<StepName>(iteration, step);
  if (!attempt) return { step, status: 'pending', host: '', attempt: 0, remark: '' };
  const since = Date.parse(attempt.requested.time);
  const known = { step, host: attempt.host, attempt: attempt.number, since };
  switch (attempt.status) {
    case 'open':
      return { ...known, status: 'open', remark: '' };
    case 'succeeded':
      return { ...known, status: 'succeeded', seconds: attempt.seconds, remark: '' };
    case 'failed':
      return { ...known, status: 'failed', remark: attempt.failure.reason };
    case 'superseded':
      return { ...known, status: 'superseded', remark: supersededWords(attempt.reason) };
  }
};

const reviewProgress = (iteration: Iteration): StepProgress => {
  const review = reviewOf(iteration);
  const asked = iteration.approvals.map(({ by }) => by).join(', ');
  const known = { step: 'review', host: asked, attempt: iteration.reviews.length } as const;
  if (!review) return { ...known, status: 'pending', remark: '' };
  if (review.rejected)
    return { ...known, status: 'failed', remark: `${review.rejected.by}: ${review.rejected.note}` };
  if (review.missing.length > 0)
    return { ...known, status: 'open', remark: `waits for ${review.missing.join(', ')}` };
  return { ...known, status: 'succeeded', remark: '' };
};

/** Every step, in the order of the graph; a rollback only if there is one. */
export const progress = (iteration: Iteration): StepProgress[] =>
  stepNames.flatMap((step) => {
    const isOfIts = (forwardSteps as readonly StepName[]).includes(step);
    if (!isOfIts && iteration.attempts[step].length === 0) return [];
    const row = progressOf(iteration, step);
    return step === 'preflight' ? [row, reviewProgress(iteration)] : [row];
  });

/** For whom or what the iteration waits, in a sentence; empty once it has ended. */
export const waitsFor = (iteration: Iteration, fleet: Pick<State, 'hosts'>): string => {
  if (iteration.ended) return iteration.retryAsked ? 'the coordinator' : '';
  const lost = lostBoard(iteration, fleet);
  if (lost) {
    const { host, reason, lastSeen } = lost;
    return `${host}, which is lost: ${lostWords(host, reason)}; ${lastSeenOf(lastSeen)}. Look at its console: when it is back, this goes on by itself; or ka abort ${iteration.name}`;
  }
  const open = openAttemptsOf(iteration).map(({ step, attempt }) => `${step} on ${attempt.host}`);
  const missing = evidenceOf(iteration, 'preflight') ? (reviewOf(iteration)?.missing ?? []) : [];
  const people = missing.map(
    (person) =>
      `the review of ${person} (ka review ${iteration.name}, then ka approve ${iteration.name} --as ${person} -m NOTE, or ka reject …)`,
  );
  return [...open, ...people].join('; ') || 'the coordinator';
};
