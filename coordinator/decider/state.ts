import type { IterationEvent, StepEvent } from '../../schemas/events.ts';
import type { Patch, Plan } from '../../schemas/plan.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import { type StepName, stepNames } from '../../schemas/step-names.ts';
import type { Failure, StepEvidence } from '../../schemas/steps.ts';

/** One try of a step, as the log tells it. Sequences are the stream's. */
export type Attempt<Name extends StepName = StepName> = {
  number: number;
  host: string;
  requested: Ended;
  /** The log's epoch in which it was asked for. */
  epoch: number;
} & (
  | { status: 'open' }
  | { status: 'succeeded'; ended: Ended; evidence: StepEvidence<Name>; seconds: number }
  | { status: 'failed'; ended: Ended; failure: Failure }
  /** `late` is an outcome that came after all: it is recorded and not acted on. */
  | { status: 'superseded'; ended: Ended; because: string; again: boolean; late?: number }
);

export interface Ended {
  sequence: number;
  time: string;
  eventId: string;
}

export interface Approval {
  by: string;
  note: string;
  planSha256: string;
  tree: string;
  sequence: number;
  time: string;
  approved: boolean;
  /** By the clock of the log's server. */
  expires?: string | undefined;
  expired?: boolean;
  /** As its writer signed it, for the hosts that act on it. Kept by the rules from 3 on. */
  signed?: SignedEvent;
}

/** All that is known of one iteration: a fold over the log. */
export interface Iteration {
  name: string;
  /** The rules that it is decided by. */
  rules: number;
  plan: Plan;
  planSha256: string;
  series: Patch[];
  signingKey: string;
  startedBy: string;
  started: Ended;
  /** The last event that concerns this iteration: what the coordinator's next one answers. */
  last: Ended;
  attempts: { [Name in StepName]: Attempt<Name>[] };
  /** The reviews that were asked for, oldest first. */
  reviews: { sequence: number; planSha256: string; tree: string }[];
  approvals: Approval[];
  waivers: { clause: string; why: string; by: string; sequence: number }[];
  /** Retries, by the sequence at which they were asked: what had failed before doesn't count any more. */
  retries: { by: string; sequence: number }[];
  abort?: { by: string; why: string; sequence: number };
  /** The board, if it was changed and does not come back. */
  lost?: Extract<IterationEvent, { type: 'BoardLost' }>['data'] & { sequence: number };
  losses: number;
  /** The board went back on its own. */
  deadline?: Extract<IterationEvent, { type: 'DeadlinePassed' }>['data'] & { sequence: number };
  ended?: Ended & { status: 'closed' | 'failed' | 'aborted'; because: string };
  /** How often it has failed before, as it may be retried. */
  failures: number;
}

export interface HostState {
  role: string;
  bootId: string;
  release: string;
  package: string | null;
  startedAt: Ended;
}

/** An outcome that is in the log before its request, as after a lost tail, when each writer says again what it said. */
export interface EarlyOutcome {
  event: StepEvent & { fact: 'Succeeded' | 'Failed' };
  at: Ended;
}

/** The state of a fleet: what follows from the events folded so far, and nothing else. */
export interface State {
  /** The sequence of the last event folded. */
  sequence: number;
  iterations: ReadonlyMap<string, Iteration>;
  hosts: ReadonlyMap<string, HostState>;
  /** Each writer's last event: its own count and hash, which its next one links to. */
  writers: ReadonlyMap<string, { seq: number; hash: string }>;
  /** The log's epoch. */
  epoch: number;
  /** The last checkpoint that each host was told: how many of them it was told, and what it covers. */
  checkpoints: ReadonlyMap<string, { number: number; size: number; epoch: number }>;
  /** By {@link earlyKey}. */
  early: ReadonlyMap<string, EarlyOutcome>;
}

/** Names an attempt on a host, in all iterations. */
export const earlyKey = (iteration: string, step: string, attempt: number, host: string): string =>
  `${iteration} ${step} ${attempt} ${host}`;

export const initialState: State = {
  sequence: 0,
  iterations: new Map(),
  hosts: new Map(),
  writers: new Map(),
  epoch: 1,
  checkpoints: new Map(),
  early: new Map(),
};

export const startIteration = (
  event: Extract<IterationEvent, { type: 'IterationStarted' }>,
  at: Ended,
): Iteration => ({
  name: event.iteration,
  rules: event.data.rules ?? 1,
  plan: event.data.plan,
  planSha256: event.data.planSha256,
  series: event.data.series,
  signingKey: event.data.signingKey,
  startedBy: event.data.by,
  started: at,
  last: at,
  attempts: Object.fromEntries(stepNames.map((step) => [step, []])) as unknown as Iteration['attempts'],
  reviews: [],
  approvals: [],
  waivers: [],
  retries: [],
  failures: 0,
  losses: 0,
});

/** The newest attempt of a step. */
export const lastAttempt = <Name extends StepName>(
  iteration: Iteration,
  step: Name,
): Attempt<Name> | undefined => iteration.attempts[step].at(-1) as Attempt<Name> | undefined;

/** The evidence of a step that has succeeded. */
export const evidenceOf = <Name extends StepName>(
  iteration: Iteration,
  step: Name,
):
  | { evidence: StepEvidence<Name>; sequence: number; attempt: number; host: string; seconds: number }
  | undefined => {
  const attempt = lastAttempt(iteration, step);
  return attempt?.status === 'succeeded'
    ? {
        evidence: attempt.evidence,
        sequence: attempt.ended.sequence,
        attempt: attempt.number,
        host: attempt.host,
        seconds: attempt.seconds,
      }
    : undefined;
};
