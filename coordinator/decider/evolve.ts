import type { LoggedEvent } from '../../eventlog/signing/check-event.ts';
import { linkTo } from '../../eventlog/signing/seal.ts';
import {
  coordinator,
  type FleetEvent,
  type IterationEvent,
  type IterationEventType,
  operator,
  personWriter,
  type StepEvent,
} from '../../schemas/events.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import type { Attempt, EarlyOutcome, Ended, Iteration, State } from './state.ts';
import { earlyKey, startIteration } from './state.ts';

const writerOf: Record<IterationEventType, typeof coordinator | 'a person' | 'the board'> = {
  IterationStarted: 'a person',
  ReviewRequested: coordinator,
  ReviewApproved: 'a person',
  ReviewRejected: 'a person',
  ClauseWaived: 'a person',
  RetryAsked: 'a person',
  AbortAsked: 'a person',
  ApprovalExpired: coordinator,
  BoardLost: coordinator,
  DeadlinePassed: 'the board',
  IterationClosed: coordinator,
  IterationFailed: coordinator,
  IterationAborted: coordinator,
};

/** Whether a person said it, and as whom it says. */
const isSaidBy = (source: string, by: string): boolean => source === operator || source === personWriter(by);

/** Whether its writer has this to say. A host that signs an approval, or another host's outcome, changes nothing. */
export const maySay = (event: IterationEvent | StepEvent, iteration: Iteration | undefined): boolean => {
  if (event.kind === 'iteration') {
    const writer = writerOf[event.type];
    if (writer === 'a person') return isSaidBy(event.source, (event.data as { by: string }).by);
    return event.source === (writer === 'the board' ? iteration?.plan.board : writer);
  }
  if (event.fact === 'Requested' || event.fact === 'Superseded') return event.source === coordinator;
  const attempts = (iteration?.attempts[event.step] ?? []) as Attempt[];
  return attempts.some(({ number, host }) => number === event.attempt && host === event.source);
};

const isOutcome = (event: StepEvent): event is EarlyOutcome['event'] =>
  event.fact === 'Succeeded' || event.fact === 'Failed';

/** Ends the attempt that a fact is about. An outcome that comes after its attempt was superseded is only noted. */
const evolveStep = (iteration: Iteration, event: StepEvent, at: Ended): Iteration => {
  const attempts = iteration.attempts[event.step] as Attempt[];
  const { lost, ...rest } = iteration;
  // The board that was lost has spoken.
  const found = lost !== undefined && isOutcome(event) && event.source === lost.host;
  const withAttempts = (changed: Attempt[]): Iteration => ({
    ...(found ? rest : iteration),
    last: at,
    attempts: { ...iteration.attempts, [event.step]: changed },
  });
  const settle = (end: (attempt: Attempt) => Attempt): Iteration =>
    withAttempts(
      attempts.map((attempt) => {
        if (attempt.number !== event.attempt) return attempt;
        if (attempt.status === 'open') return end(attempt);
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
    case 'Superseded':
      return settle((attempt) => ({
        ...attempt,
        status: 'superseded',
        ended: at,
        because: event.data.because,
        again: event.data.again ?? false,
      }));
  }
};

const evolveIteration = (
  iteration: Iteration,
  event: IterationEvent,
  at: Ended,
  signed: SignedEvent | undefined,
): Iteration => {
  const known = { ...iteration, last: at };
  const { sequence } = at;
  switch (event.type) {
    case 'IterationStarted':
      return iteration; // its subject holds one fact, so a second one can't be in the log
    case 'ReviewRequested': {
      const { planSha256, tree } = event.data;
      return { ...known, reviews: [...known.reviews, { sequence, planSha256, tree }] };
    }
    case 'ReviewApproved':
    case 'ReviewRejected': {
      const approved = event.type === 'ReviewApproved';
      const kept = iteration.rules >= 3 && signed ? { signed } : {};
      return {
        ...known,
        approvals: [...known.approvals, { ...event.data, ...kept, sequence, time: at.time, approved }],
      };
    }
    case 'ApprovalExpired': {
      const { approval } = event.data;
      const approvals = known.approvals.map((one) =>
        one.sequence === approval ? { ...one, expired: true } : one,
      );
      return { ...known, approvals };
    }
    case 'ClauseWaived':
      return { ...known, waivers: [...known.waivers, { ...event.data, sequence }] };
    case 'RetryAsked': {
      // Whoever signs it by hand can't open again what is closed, or on a board that was rolled back.
      if (known.ended?.status !== 'failed' || known.attempts.rollback.length > 0) return known;
      const { ended: _ended, ...open } = known;
      return { ...open, retries: [...known.retries, { by: event.data.by, sequence }] };
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
      return { ...known, ended: { ...at, status: 'closed', because: 'every clause has its verdict' } };
    case 'IterationFailed':
      return {
        ...known,
        failures: known.failures + 1,
        ended: { ...at, status: 'failed', because: event.data.because },
      };
    case 'IterationAborted':
      return { ...known, ended: { ...at, status: 'aborted', because: event.data.because } };
  }
};

const evolveFleet = (state: State, event: FleetEvent, at: Ended): State => {
  switch (event.type) {
    case 'AgentStarted': {
      const { role, bootId, release, package: installed } = event.data;
      const host = { role, bootId, release, package: installed, startedAt: at };
      const found = [...state.iterations].map(([name, iteration]) => {
        if (iteration.lost?.host !== event.source) return [name, iteration] as const;
        const { lost: _lost, ...rest } = iteration;
        return [name, rest] as const;
      });
      return {
        ...state,
        iterations: new Map(found),
        hosts: new Map(state.hosts).set(event.source, host),
      };
    }
    case 'LogRestored':
      if (!isSaidBy(event.source, event.data.by)) return state;
      return { ...state, epoch: Math.max(state.epoch, event.data.epoch) };
    case 'Checkpointed': {
      if (event.source !== coordinator) return state;
      const { host, size } = event.data;
      const told = { number: event.attempt, size, epoch: event.epoch ?? 1 };
      const before = state.checkpoints.get(host);
      // One that stands there once more says nothing new.
      if (before && (before.epoch > told.epoch || (before.epoch === told.epoch && before.size >= size)))
        return state;
      return { ...state, checkpoints: new Map(state.checkpoints).set(host, told) };
    }
    case 'KeyRotated':
    case 'KeyRevoked':
      return state; // whoever checks signatures takes note of it
  }
};

/** An approval as hosts are shown it. Of other events nobody asks. */
const signedOf = (
  { type, source }: IterationEvent,
  bytes: Uint8Array,
  signature: string | undefined,
): SignedEvent | undefined =>
  type === 'ReviewApproved' && signature !== undefined
    ? { writer: source, bytes: Buffer.from(bytes).toString('base64'), signature }
    : undefined;

/**
 * The state after one more event. Pure and total: an event that this version does not know, or that is not its
 * writer's to say, changes only the position and its writer's count; the same event twice changes nothing.
 */
export const evolve = (state: State, { event, sequence, bytes, signature }: LoggedEvent): State => {
  if (sequence <= state.sequence) return state;
  const at: Ended = { sequence, time: event.time, eventId: `${event.source}/${event.id}` };
  const next: State = {
    ...state,
    sequence,
    writers: new Map(state.writers).set(event.source, linkTo(event.writerseq, bytes)),
  };
  if (event.kind === 'unknown') return next;
  if (event.kind === 'fleet') return evolveFleet(next, event, at);
  const iteration = state.iterations.get(event.iteration);
  if (!maySay(event, iteration)) {
    if (event.kind !== 'step' || !isOutcome(event)) return next;
    // Its request may yet come; if another host was asked, it never counts.
    const key = earlyKey(event.iteration, event.step, event.attempt, event.source);
    return { ...next, early: new Map(state.early).set(key, { event, at }) };
  }
  if (!iteration) {
    if (event.kind !== 'iteration' || event.type !== 'IterationStarted') return next;
    return { ...next, iterations: new Map(state.iterations).set(event.iteration, startIteration(event, at)) };
  }
  let changed =
    event.kind === 'step'
      ? evolveStep(iteration, event, at)
      : evolveIteration(iteration, event, at, signedOf(event, bytes, signature));
  let { early } = state;
  if (event.kind === 'step' && event.fact === 'Requested') {
    const key = earlyKey(event.iteration, event.step, event.attempt, event.data.host);
    const outcome = early.get(key);
    if (outcome) {
      changed = { ...evolveStep(changed, outcome.event, outcome.at), last: at };
      early = new Map([...early].filter(([name]) => name !== key));
    }
  }
  return { ...next, early, iterations: new Map(state.iterations).set(event.iteration, changed) };
};

/** The state after a message that is no event: only the position moves. */
export const passOver = (state: State, sequence: number): State =>
  sequence <= state.sequence ? state : { ...state, sequence };
