import { OrderedMap, Map as PersistentMap } from 'immutable';
import type { FleetFacts, IterationEvent, StepEvent } from '../../schemas/events.ts';
import type { Needs } from '../../schemas/needs.ts';
import type { Opened } from '../../schemas/open.ts';
import type { Patch, ReadPlan, Resolved } from '../../schemas/plan.ts';
import type { EndReason, Refusal, Stranded, SupersededReason, VoidedReason } from '../../schemas/reasons.ts';
import type { ApprovedTree } from '../../schemas/reviewed.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import { type StepName, stepNames } from '../../schemas/step-names.ts';
import type { Failure, StepEvidence } from '../../schemas/steps.ts';

/** An event's place in the log, and the name by which other events refer to it as their cause. */
export interface LogPlace {
  sequence: number;
  time: string;
  /** `<source>/<id>`. */
  eventId: string;
}

/** One try of a step, as the log shows it. Sequences are the stream's. */
export type Attempt<Name extends StepName = StepName> = {
  number: number;
  host: string;
  requested: LogPlace;
  /** The log's epoch in which it was asked for. */
  epoch: number;
} & (
  | { status: 'open' }
  | { status: 'succeeded'; ended: LogPlace; evidence: StepEvidence<Name>; seconds: number }
  | { status: 'failed'; ended: LogPlace; failure: Opened<Failure> }
  /** `late` is the sequence of an outcome that came later: it is recorded and not acted on. */
  | { status: 'superseded'; ended: LogPlace; reason: Opened<SupersededReason>; again: boolean; late?: number }
);

export interface Approval {
  by: string;
  note: string;
  board: string;
  planSha256: string;
  trees: ApprovedTree[];
  sequence: number;
  time: string;
  approved: boolean;
  /** By the clock of the log's server. A rejection does not expire. */
  expires?: string | undefined;
  expired?: boolean;
  /** The event that says that it does not count any more. */
  voided?: { sequence: number; reason: Opened<VoidedReason> };
  /** As its writer signed it, for the hosts that act on it. */
  signed?: SignedEvent;
}

/** How an iteration ended. */
export type End = LogPlace &
  (
    | { status: 'closed' }
    | {
        status: 'failed' | 'aborted';
        reason: Opened<EndReason>;
        boardRolledBack: boolean;
        stranded?: Opened<Stranded> | undefined;
      }
  );

/** Everything known about one iteration: a fold over its own events. */
export interface Iteration {
  name: string;
  /** The names of the rules that apply to it. */
  rules: readonly string[];
  plan: ReadPlan;
  planText: string;
  planSha256: string;
  series: Patch[];
  resolved?: Resolved | undefined;
  /** The last iteration of the same package that had closed before. */
  since?: { iteration: string; commit: string } | undefined;
  /** The start as its writer signed it, for the builder that lands it. */
  start?: SignedEvent | undefined;
  /** The facts of the fleet's file with which it was accepted. */
  fleet: Opened<FleetFacts>;
  startedBy: string;
  started: LogPlace;
  /** The last event of this iteration: the coordinator's next one names it as its cause. */
  last: LogPlace;
  /** One hash over the bytes of all its events up to here, in their order. */
  digest: string;
  attempts: { [Name in StepName]: Attempt<Name>[] };
  /** The reviews that were asked for, oldest first. */
  reviews: { sequence: number; planSha256: string; trees: ApprovedTree[] }[];
  approvals: Approval[];
  waivers: { clause: string; why: string; by: string; sequence: number }[];
  /** A retry that the coordinator has not answered yet. */
  retryAsked?: { by: string; number: number } & LogPlace;
  /** Accepted retries, with the sequence of the acceptance: failures before it no longer count. */
  retries: { by: string; sequence: number }[];
  retriesAsked: number;
  /** The coordinator's last answer to a retry; `refused` is the reason of a refusal. */
  retryAnswered?: { number: number; refused?: Opened<Refusal> };
  abort?: { by: string; why: string; sequence: number };
  /** The last time that the board was given up as lost. `lostBoard` tells whether it still is. */
  lost?: Extract<IterationEvent, { type: 'BoardLost' }>['data'] & { sequence: number };
  losses: number;
  /** The board went back on its own. */
  deadline?: Extract<IterationEvent, { type: 'DeadlinePassed' }>['data'] & { sequence: number };
  ended?: End;
  /** How often it has failed: after a retry it can fail again. */
  failures: number;
}

/** A commit to a package's folder. */
export interface Landed {
  repository: string;
  folder: string;
  commit: string;
}

/** An ended iteration that was set aside: as much of it as decisions about other iterations need. */
export interface EndedIteration {
  name: string;
  board: string;
  /** Every host that it could ask. */
  hosts: readonly string[];
  startedBy: string;
  started: LogPlace;
  ended: Pick<End, 'status' | 'sequence' | 'time'>;
  /** As {@link Iteration.digest}. */
  digest: string;
  /** What it has landed, if it has closed. */
  landed?: Landed | undefined;
  /** Whether it had ended before, and was retried. */
  isRetried: boolean;
}

/** A start that a person asked for, and that the coordinator has not answered yet. */
export interface Asked extends LogPlace {
  by: string;
  number: number;
  plan: ReadPlan;
  planText: string;
  planSha256: string;
  series: Patch[];
  resolved?: Resolved | undefined;
  needs: Needs;
  /** As its writer signed it. */
  signed?: SignedEvent | undefined;
  /** sha256 of the event's bytes. */
  hash: string;
}

/** Everything known about the starts of one name. */
export interface Starts {
  /** How many were asked for. */
  asked: number;
  /** Those without an answer, oldest first. */
  open: readonly Asked[];
  refusals: number;
  /** The last one that was refused. */
  refused?: {
    by: string;
    title: string;
    board: string;
    reason: Opened<Refusal>;
    started: LogPlace;
  } & LogPlace;
}

export interface HostState {
  role: string;
  bootId: string;
  release: string;
  package: string | null;
  startedAt: LogPlace;
}

/** A time in which a writer had one key, as far as the log shows it. */
export interface KeyPeriod {
  /** The event that began it; 0 for the key that the log begins with. */
  since: number;
  /** Null as long as no event has named the key: only rotations and revocations do. */
  publicKey: string | null;
  /** The event that revoked it. */
  revoked?: number;
}

/**
 * An outcome that comes before its request in the log. This happens after a lost tail, when each writer sends its
 * events again.
 */
export interface EarlyOutcome {
  event: StepEvent & { fact: 'Succeeded' | 'Failed' };
  at: LogPlace;
  hash: string;
}

/**
 * The state of a fleet: it follows from the events folded so far and from nothing else. Its maps are persistent ones, so that
 * folding an event costs the same however large the fleet is.
 */
export interface State {
  /** The sequence of the last event folded. */
  sequence: number;
  /** The iterations that were accepted, except those in `ended`. */
  iterations: OrderedMap<string, Iteration>;
  /** The ended iterations that were set aside, see `ended-iterations.ts`. */
  ended: OrderedMap<string, EndedIteration>;
  /** The name of the iteration that occupies each board now. */
  underWay: PersistentMap<string, string>;
  /** The starts that people asked for, by the iteration's name. */
  starts: OrderedMap<string, Starts>;
  hosts: OrderedMap<string, HostState>;
  /** Each writer's last event: the writer's own count and the event's hash, to which its next one links. */
  writers: PersistentMap<string, { seq: number; hash: string }>;
  /** The keys of the writers that have had another key, or whose key was revoked: their periods, oldest first. */
  keys: PersistentMap<string, readonly KeyPeriod[]>;
  /** The log's epoch. */
  epoch: number;
  /** The sequence of the last end of an iteration or refusal of a start; 0 before the first. */
  lastEnd: number;
  /** The last checkpoint that each host was told, and what it covers. */
  checkpoints: OrderedMap<string, { size: number; epoch: number }>;
  /** How many checkpoints were told. */
  checkpointsTold: number;
  /** The hosts that are due a checkpoint, and the sequence that it has to cover. */
  untold: OrderedMap<string, number>;
  /** By {@link formatAttemptOn}. */
  early: PersistentMap<string, EarlyOutcome>;
}

export const initialState: State = {
  sequence: 0,
  iterations: OrderedMap(),
  ended: OrderedMap(),
  underWay: PersistentMap(),
  starts: OrderedMap(),
  hosts: OrderedMap(),
  writers: PersistentMap(),
  keys: PersistentMap(),
  epoch: 1,
  lastEnd: 0,
  checkpoints: OrderedMap(),
  checkpointsTold: 0,
  untold: OrderedMap(),
  early: PersistentMap(),
};

/** An iteration as it begins, when its start is accepted. */
export const beginIteration = (
  name: string,
  asked: Asked,
  { rules, fleet, since }: Pick<Iteration, 'rules' | 'fleet' | 'since'>,
): Iteration => ({
  name,
  rules,
  fleet,
  since,
  plan: asked.plan,
  planText: asked.planText,
  planSha256: asked.planSha256,
  series: asked.series,
  resolved: asked.resolved,
  start: asked.signed,
  startedBy: asked.by,
  started: { sequence: asked.sequence, time: asked.time, eventId: asked.eventId },
  last: { sequence: asked.sequence, time: asked.time, eventId: asked.eventId },
  digest: asked.hash,
  attempts: Object.fromEntries(stepNames.map((step) => [step, []])) as unknown as Iteration['attempts'],
  reviews: [],
  approvals: [],
  waivers: [],
  retries: [],
  retriesAsked: 0,
  failures: 0,
  losses: 0,
});

/** The attempts of a step, oldest first. */
export const attemptsOf = <Name extends StepName>(
  { attempts }: Pick<Iteration, 'attempts'>,
  step: Name,
): readonly Attempt<Name>[] => attempts[step] as readonly Attempt[] as readonly Attempt<Name>[];

/** Whether that host is, or was, asked for that attempt of a step. */
export const isAskedFor = (
  iteration: Iteration | undefined,
  { host, step, attempt }: { host: string; step: string; attempt: number },
): boolean => {
  const name = stepNames.find((known) => known === step);
  if (!iteration || !name) return false;
  return attemptsOf<StepName>(iteration, name).some((one) => one.number === attempt && one.host === host);
};

/** The newest attempt of a step. */
export const lastAttempt = <Name extends StepName>(
  iteration: Pick<Iteration, 'attempts'>,
  step: Name,
): Attempt<Name> | undefined => attemptsOf(iteration, step).at(-1);

/** The attempts that are open now. */
export const openAttemptsOf = (
  iteration: Pick<Iteration, 'attempts'>,
): { step: StepName; attempt: Attempt }[] =>
  stepNames.flatMap((step) =>
    attemptsOf<StepName>(iteration, step)
      .filter(({ status }) => status === 'open')
      .map((attempt) => ({ step, attempt })),
  );

/** The evidence of a step that has succeeded. */
export const evidenceOf = <Name extends StepName>(
  iteration: Pick<Iteration, 'attempts'>,
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

/** The changed board that does not come back; undefined once it has started again or has written to the log. */
export const lostBoard = ({ lost }: Iteration, { hosts }: Pick<State, 'hosts'>): Iteration['lost'] =>
  lost !== undefined && (hosts.get(lost.host)?.startedAt.sequence ?? 0) > lost.sequence ? undefined : lost;

/** What `uname -r` will print: as the plan states it, or else as preflight predicted it. */
export const expectedRelease = (iteration: Iteration): string | undefined =>
  iteration.plan.package.release ?? evidenceOf(iteration, 'preflight')?.evidence.release.predicted;
