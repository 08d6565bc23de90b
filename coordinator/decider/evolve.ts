import { formatAttemptOn } from '../../schemas/attempt-id.ts';
import {
  coordinator,
  type FleetEvent,
  type IterationEvent,
  type IterationEventType,
  type LoggedEvent,
  personWriter,
  type StepEvent,
} from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import { revoked, rotated } from './key-periods.ts';
import {
  type Approval,
  type Asked,
  type Attempt,
  attemptsOf,
  beginIteration,
  type EarlyOutcome,
  type Iteration,
  type LogPlace,
  type Starts,
  type State,
} from './state.ts';

const writerOf: Record<IterationEventType, typeof coordinator | 'a person' | 'the board'> = {
  IterationStarted: 'a person',
  IterationAccepted: coordinator,
  IterationRefused: coordinator,
  ReviewRequested: coordinator,
  ReviewApproved: 'a person',
  ReviewRejected: 'a person',
  ClauseWaived: 'a person',
  RetryAsked: 'a person',
  RetryAccepted: coordinator,
  RetryRefused: coordinator,
  AbortAsked: 'a person',
  ApprovalExpired: coordinator,
  ApprovalVoided: coordinator,
  BoardLost: coordinator,
  DeadlinePassed: 'the board',
  IterationClosed: coordinator,
  IterationFailed: coordinator,
  IterationAborted: coordinator,
};

/**
 * Whether the event's writer may write it. A host that signs an approval, or another host's outcome, changes nothing.
 */
export const maySay = (event: IterationEvent | StepEvent, iteration: Iteration | undefined): boolean => {
  if (event.kind === 'iteration') {
    const writer = writerOf[event.type];
    if (writer === 'a person') return event.source === personWriter((event.data as { by: string }).by);
    return event.source === (writer === 'the board' ? iteration?.plan.board : writer);
  }
  if (event.fact === 'Requested' || event.fact === 'Superseded') return event.source === coordinator;
  if (!iteration) return false;
  return attemptsOf<typeof event.step>(iteration, event.step).some(
    ({ number, host }) => number === event.attempt && host === event.source,
  );
};

const isOutcome = (event: StepEvent): event is EarlyOutcome['event'] =>
  event.fact === 'Succeeded' || event.fact === 'Failed';

/**
 * Adds or ends the attempt that a fact is about. An outcome that comes after its attempt was superseded is only noted.
 */
const evolveStep = (iteration: Iteration, event: StepEvent, at: LogPlace): Iteration => {
  const attempts: readonly Attempt[] = attemptsOf<typeof event.step>(iteration, event.step);
  const { lost, ...rest } = iteration;
  // The lost board has written an outcome.
  const found = lost !== undefined && isOutcome(event) && event.source === lost.host;
  const withAttempts = (changed: Attempt[]): Iteration => ({
    ...(found ? rest : iteration),
    last: at,
    attempts: { ...iteration.attempts, [event.step]: changed },
  });
  const isRevocation = event.fact === 'Superseded' && event.data.reason.code === 'key-revoked';
  const settle = (end: (attempt: Attempt) => Attempt): Iteration =>
    withAttempts(
      attempts.map((attempt) => {
        if (attempt.number !== event.attempt) return attempt;
        if (attempt.status === 'open') return end(attempt);
        // What has succeeded counts no more only because a key was revoked.
        if (attempt.status === 'succeeded' && isRevocation) return end(attempt);
        return attempt.status === 'superseded' ? { ...attempt, late: at.sequence } : attempt;
      }),
    );
  switch (event.fact) {
    case 'Requested':
      return withAttempts([
        ...attempts,
        {
          number: event.attempt,
          host: event.data.host,
          requested: at,
          epoch: event.epoch ?? 1,
          status: 'open',
        },
      ]);
    case 'Succeeded': {
      const { evidence, seconds } = event.data;
      return settle((attempt) => ({ ...attempt, status: 'succeeded', ended: at, evidence, seconds }));
    }
    case 'Failed':
      return settle((attempt) => ({ ...attempt, status: 'failed', ended: at, failure: event.data }));
    case 'Superseded': {
      const { reason, again = false } = event.data;
      return settle((attempt) => ({ ...attempt, status: 'superseded', ended: at, reason, again }));
    }
  }
};

/** Marks the approval with that sequence. */
const withApproval = (iteration: Iteration, approval: number, mark: Partial<Approval>): Iteration => ({
  ...iteration,
  approvals: iteration.approvals.map((one) => (one.sequence === approval ? { ...one, ...mark } : one)),
});

const evolveIteration = (
  iteration: Iteration,
  event: IterationEvent,
  at: LogPlace,
  signed: SignedEvent | undefined,
): Iteration => {
  const known = { ...iteration, last: at };
  const { sequence } = at;
  switch (event.type) {
    case 'IterationStarted':
    case 'IterationAccepted':
    case 'IterationRefused':
      return iteration; // the name is taken
    case 'ReviewRequested': {
      const { planSha256, trees } = event.data;
      return { ...known, reviews: [...known.reviews, { sequence, planSha256, trees }] };
    }
    case 'ReviewApproved':
    case 'ReviewRejected': {
      const approved = event.type === 'ReviewApproved';
      const word = { ...event.data, ...(signed ? { signed } : {}), sequence, time: at.time, approved };
      return { ...known, approvals: [...known.approvals, word] };
    }
    case 'ApprovalExpired':
      return withApproval(known, event.data.approval, { expired: true });
    case 'ApprovalVoided':
      return withApproval(known, event.data.approval, { voided: { sequence, reason: event.data.reason } });
    case 'ClauseWaived':
      return { ...known, waivers: [...known.waivers, { ...event.data, sequence }] };
    case 'RetryAsked': {
      const retryAsked = { by: event.data.by, number: event.attempt, ...at };
      return { ...known, retriesAsked: known.retriesAsked + 1, retryAsked };
    }
    case 'RetryRefused': {
      const { retryAsked: _answered, ...rest } = known;
      return { ...rest, retryAnswered: { number: event.attempt, refused: event.data.reason } };
    }
    case 'RetryAccepted': {
      const { ended: _ended, retryAsked, ...open } = known;
      if (!retryAsked) return known;
      const retries = [...known.retries, { by: retryAsked.by, sequence }];
      return { ...open, retries, retryAnswered: { number: event.attempt } };
    }
    case 'AbortAsked':
      return { ...known, abort: { ...event.data, sequence } };
    case 'BoardLost':
      return { ...known, losses: known.losses + 1, lost: { ...event.data, sequence } };
    case 'DeadlinePassed': {
      const { lost: _lost, ...found } = known;
      return { ...found, deadline: { ...event.data, sequence } };
    }
    case 'IterationClosed':
      return { ...known, ended: { ...at, status: 'closed' } };
    case 'IterationFailed': {
      const { reason, boardRolledBack, stranded } = event.data;
      const ended = { ...at, status: 'failed' as const, reason, boardRolledBack, stranded };
      return { ...known, failures: known.failures + 1, ended };
    }
    case 'IterationAborted': {
      const { reason, boardRolledBack, stranded } = event.data;
      return { ...known, ended: { ...at, status: 'aborted', reason, boardRolledBack, stranded } };
    }
  }
};

/** A host that has no checkpoint yet is due one that covers the last end of an iteration or refusal of a start. */
const evolveStart = (
  state: State,
  { source, data }: FleetEvent & { type: 'AgentStarted' },
  at: LogPlace,
): State => {
  const { role, bootId, release, package: installed } = data;
  const hosts = state.hosts.set(source, { role, bootId, release, package: installed, startedAt: at });
  const isNew = state.lastEnd > 0 && !state.checkpoints.has(source);
  return { ...state, hosts, untold: isNew ? state.untold.set(source, state.lastEnd) : state.untold };
};

/** In a newer epoch, every host that has a checkpoint of the earlier log is due one of this log. */
const evolveEpoch = (state: State, epoch: number): State =>
  epoch <= state.epoch
    ? state
    : {
        ...state,
        epoch,
        untold: state.checkpoints.reduce((untold, _, host) => untold.set(host, 0), state.untold),
      };

const evolveCheckpoint = (state: State, event: FleetEvent & { type: 'Checkpointed' }): State => {
  const { host, size } = event.data;
  const epoch = event.epoch ?? 1;
  const before = state.checkpoints.get(host);
  // A repeated checkpoint adds nothing.
  if (before && (before.epoch > epoch || (before.epoch === epoch && before.size >= size))) return state;
  const isTold = epoch >= state.epoch && size >= (state.untold.get(host) ?? 0);
  return {
    ...state,
    checkpoints: state.checkpoints.set(host, { size, epoch }),
    checkpointsTold: Math.max(state.checkpointsTold, event.attempt),
    untold: isTold ? state.untold.delete(host) : state.untold,
  };
};

const evolveFleet = (state: State, event: FleetEvent, at: LogPlace): State => {
  switch (event.type) {
    case 'AgentStarted':
      return evolveStart(state, event, at);
    case 'LogRestored':
      return event.source === personWriter(event.data.by) ? evolveEpoch(state, event.data.epoch) : state;
    case 'Checkpointed':
      return event.source === coordinator ? evolveCheckpoint(state, event) : state;
    case 'RefusalAcknowledged':
      return state; // the code that checks signatures keeps alarms
    case 'KeyRotated':
      return { ...state, keys: state.keys.set(event.source, rotated(state, event, at.sequence)) };
    case 'KeyRevoked': {
      if (event.source !== personWriter(event.data.by)) return state;
      const { writer } = event.data;
      return { ...state, keys: state.keys.set(writer, revoked(state, event.data, at.sequence)) };
    }
  }
};

/** A start or an approval in its signed form, which hosts are shown. No other event is needed in that form. */
const signedOf = (
  { type, source }: IterationEvent,
  bytes: Uint8Array,
  signature: string | undefined,
): SignedEvent | undefined =>
  (type === 'IterationStarted' || type === 'ReviewApproved') && signature !== undefined
    ? { writer: source, bytes: Buffer.from(bytes).toString('base64'), signature }
    : undefined;

const noStarts: Starts = { asked: 0, open: [], refusals: 0 };

/** Every host that an iteration may ask. */
export const hostsOf = ({ board, hosts }: Iteration['plan']): string[] => [
  ...new Set([...hosts.builders, hosts.publisher, hosts.backup, board]),
];

/** The hosts of a plan are due a checkpoint: its iteration has ended, or its start was refused. */
const withEnd = (state: State, plan: Iteration['plan'], { sequence }: LogPlace): State => ({
  ...state,
  untold: hostsOf(plan).reduce((untold, host) => untold.set(host, sequence), state.untold),
  lastEnd: sequence,
});

/** Stores an iteration after one of its events. It occupies its board until it ends; its hosts are then due a checkpoint. */
const withIteration = (state: State, iteration: Iteration, at: LogPlace): State => {
  const { name, ended, plan } = iteration;
  const next = { ...state, iterations: state.iterations.set(name, iteration) };
  if (!ended) {
    const isKnown = state.underWay.get(plan.board) === name;
    return isKnown ? next : { ...next, underWay: state.underWay.set(plan.board, name) };
  }
  if (ended.sequence !== at.sequence) return next;
  const isItsBoard = state.underWay.get(plan.board) === name;
  const underWay = isItsBoard ? state.underWay.delete(plan.board) : state.underWay;
  return withEnd({ ...next, underWay }, plan, at);
};

/** A start waits for the coordinator's answer, and so does a start whose name has been taken meanwhile. */
const evolveStarts = (
  state: State,
  event: IterationEvent,
  { at, hash, signed }: { at: LogPlace; hash: string; signed: SignedEvent | undefined },
): State => {
  const { iteration: name } = event;
  const before = state.starts.get(name) ?? noStarts;
  const withStarts = (starts: Starts) => ({ ...state, starts: state.starts.set(name, starts) });
  if (event.type === 'IterationStarted') {
    const { needs = [], ...data } = event.data;
    const asked: Asked = { ...at, ...data, number: event.attempt, needs, signed, hash };
    return withStarts({ ...before, asked: before.asked + 1, open: [...before.open, asked] });
  }
  const answered = before.open.find(({ eventId }) => eventId === event.causationid);
  if (!answered) return state;
  const open = before.open.filter((one) => one !== answered);
  if (event.type === 'IterationRefused') {
    const { sequence, time, eventId, by, plan } = answered;
    const refused = {
      ...{ by, title: plan.title, board: plan.board, reason: event.data.reason },
      started: { sequence, time, eventId },
      ...at,
    };
    const refusals = before.refusals + 1;
    return withEnd(withStarts({ ...before, open, refusals, refused }), plan, at);
  }
  if (event.type !== 'IterationAccepted' || state.iterations.has(name)) return state;
  const begun = beginIteration(name, answered, event.data);
  const iteration = { ...begun, last: at, digest: sha256(`${begun.digest}\n${hash}`) };
  return withIteration(withStarts({ ...before, open }), iteration, at);
};

/** How many outcomes whose request is not there yet are kept of one host in one iteration. */
export const mostEarly = 8;

/**
 * Keeps an outcome until its request comes, as in a log whose writers put their lost events back. Only what may have a
 * request is kept: of a host that a plan names, in an iteration that somebody has asked for.
 */
const withEarly = (state: State, outcome: EarlyOutcome): State => {
  const { iteration: name, source } = outcome.event;
  const plans = [
    state.iterations.get(name)?.plan,
    ...(state.starts.get(name)?.open ?? []).map(({ plan }) => plan),
  ];
  if (!plans.some((plan) => plan && hostsOf(plan).includes(source))) return state;
  const key = formatAttemptOn(outcome.event, source);
  const ofHost = state.early.count(({ event }) => event.iteration === name && event.source === source);
  if (ofHost >= mostEarly && !state.early.has(key)) return state;
  return { ...state, early: state.early.set(key, outcome) };
};

const isOfStarts = ({ type }: IterationEvent): boolean =>
  type === 'IterationStarted' || type === 'IterationAccepted' || type === 'IterationRefused';

/** Adds one more event to the iteration's digest. */
const withDigest = (iteration: Iteration, hash: string): Iteration => ({
  ...iteration,
  digest: sha256(`${iteration.digest}\n${hash}`),
});

/** The state after an event of one of an iteration's steps or of the iteration itself. */
const evolveOne = (
  state: State,
  event: IterationEvent | StepEvent,
  { at, hash, signed }: { at: LogPlace; hash: string; signed: SignedEvent | undefined },
): State => {
  const iteration = state.iterations.get(event.iteration);
  if (!maySay(event, iteration)) {
    if (event.kind !== 'step' || !isOutcome(event)) return state;
    // The outcome's request may come later. If another host was asked, the outcome never counts.
    return withEarly(state, { event, at, hash });
  }
  if (event.kind === 'iteration' && isOfStarts(event))
    return evolveStarts(state, event, { at, hash, signed });
  if (!iteration) return state;
  let changed = withDigest(
    event.kind === 'step' ? evolveStep(iteration, event, at) : evolveIteration(iteration, event, at, signed),
    hash,
  );
  let { early } = state;
  if (event.kind === 'step' && event.fact === 'Requested') {
    const key = formatAttemptOn(event, event.data.host);
    const outcome = early.get(key);
    if (outcome) {
      changed = withDigest({ ...evolveStep(changed, outcome.event, outcome.at), last: at }, outcome.hash);
      early = early.delete(key);
    }
  }
  return withIteration({ ...state, early }, changed, at);
};

/**
 * The state after one more event. Pure and total: an event that this version does not know, or that its writer may not
 * write, changes only the position and its writer's count; the same event twice changes nothing.
 */
export const evolve = (state: State, { event, sequence, bytes, signature }: LoggedEvent): State => {
  if (sequence <= state.sequence) return state;
  const at: LogPlace = { sequence, time: event.time, eventId: `${event.source}/${event.id}` };
  const hash = sha256(bytes);
  const next: State = {
    ...state,
    sequence,
    writers: state.writers.set(event.source, { seq: event.writerseq, hash }),
  };
  switch (event.kind) {
    case 'unknown':
      return next;
    case 'fleet':
      return evolveFleet(next, event, at);
    case 'step':
      return evolveOne(next, event, { at, hash, signed: undefined });
    case 'iteration':
      return evolveOne(next, event, { at, hash, signed: signedOf(event, bytes, signature) });
  }
};

/** The state after a message that is no event: only the position moves. */
export const passOver = (state: State, sequence: number): State =>
  sequence <= state.sequence ? state : { ...state, sequence };
