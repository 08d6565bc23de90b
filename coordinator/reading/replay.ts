import { isDeepStrictEqual } from 'node:util';
import { formatAttemptOn } from '../../schemas/attempt-id.ts';
import {
  coordinator,
  type IterationEvent,
  isPerson,
  type KaEvent,
  type LoggedEvent,
  parseEvent,
} from '../../schemas/events.ts';
import type { Refusal } from '../../schemas/reasons.ts';
import { commandsBehind, decideFacts, isDecision, writtenFact } from '../decider/commands-behind.ts';
import { evolve, maySay } from '../decider/evolve.ts';
import { rules } from '../decider/rules.ts';
import { beginIteration, type EndedIteration, initialState, type State } from '../decider/state.ts';
import { refusalWords } from './english/refusals.ts';

interface Mismatch {
  sequence: number;
  type: string;
  /** What the log holds, and what today's code would write; null if it would write nothing. */
  found: unknown;
  expected: unknown;
  why: string;
}

export interface ReplayChecked {
  events: number;
  /** How many of them were decided again. */
  decided: number;
  /** How many this version can't judge, because a newer one decided them. */
  unjudged: number;
  mismatches: Mismatch[];
  /**
   * The events that depend on iterations that are not shown, and are taken as given: to check them, the whole log is
   * needed.
   */
  notes: { sequence: number; type: string; why: string }[];
}

const differingKeys = (found: Record<string, unknown>, expected: Record<string, unknown>): string[] =>
  [...new Set([...Object.keys(found), ...Object.keys(expected)])].filter(
    (key) => !isDeepStrictEqual(found[key], expected[key]),
  );

const mismatchOf = (logged: LoggedEvent, why: string, expected: unknown = null): Mismatch => {
  const { sequence, event } = logged;
  return { sequence, type: event.type, found: writtenFact(logged), expected, why };
};

/** Whether it is an event of the coordinator or of a person about an iteration, or a checkpoint. */
const isOfTheirs = ({ source, kind, type }: KaEvent): boolean =>
  (source === coordinator || isPerson(source)) &&
  kind !== 'unknown' &&
  (kind !== 'fleet' || type === 'Checkpointed');

const isOwn = (event: KaEvent, state: State): boolean => {
  if (event.kind === 'fleet') return event.source === coordinator;
  return event.kind !== 'unknown' && maySay(event, state.iterations.get(event.iteration));
};

/** Compares an event with what the commands that may be behind it produce on the state before it. */
const compare = (logged: LoggedEvent, state: State): Mismatch | undefined => {
  const found = writtenFact(logged);
  const mismatch = (why: string, expected?: unknown) => mismatchOf(logged, why, expected);
  const decided = commandsBehind(logged.event).map((command) => decideFacts(command, state));
  const facts = decided.flatMap((one) => one.facts);
  // People's events name as their cause what they had seen. After a log was cut, they may come before their cause.
  const answered = isPerson(logged.event.source) ? { causationid: found.causationid } : {};
  // If a state asks for several events, any of them may be appended first.
  if (facts.some((fact) => isDeepStrictEqual({ ...fact, ...answered }, found))) return undefined;
  const nearest =
    facts.findLast((fact) => fact.type === found.type && fact.iteration === found.iteration) ?? facts[0];
  if (nearest)
    return mismatch(
      nearest.type === found.type
        ? `today's code writes another ${differingKeys(found, nearest).join(', ')}`
        : `today's code writes ${nearest.type} here`,
      nearest,
    );
  const refused = decided.find((one) => one.refused !== undefined)?.refused;
  return mismatch(
    refused
      ? `today's code refuses it: ${refusalWords(refused.iteration, refused.reason)}`
      : "today's code writes nothing here",
  );
};

/**
 * The mismatch if today's code would not write this event. For an event that is no decision, only its writer is
 * checked.
 */
const judge = (logged: LoggedEvent, state: State): Mismatch | undefined => {
  const { event } = logged;
  if (!isOwn(event, state)) return mismatchOf(logged, `${event.source} may not write this event`);
  return isDecision(event) ? compare(logged, state) : undefined;
};

/**
 * Whether this version can't judge the event, because a newer one wrote it with a reason or a rule that this one does
 * not know.
 */
const isBeyondUs = ({ event }: LoggedEvent, state: State): boolean => {
  const iteration = state.iterations.get(event.iteration);
  return (iteration && rules.unknownIn(iteration).length > 0) || commandsBehind(event).length === 0;
};

/**
/**
 * The outcomes with blobs whose attempts are given up after them. The coordinator gives up no attempt whose outcome it
 * can read, unless a key was revoked, so their blobs came to the log's server later.
 */
const readTooLate = (events: readonly LoggedEvent[]): ReadonlySet<LoggedEvent> => {
  const outcomes = new Map<string, LoggedEvent>();
  const late = new Set<LoggedEvent>();
  for (const logged of events) {
    const { event, whole } = logged;
    if (event.kind !== 'step') continue;
    if (event.fact === 'Superseded' && event.data.reason.code === 'key-revoked') continue;
    if (event.fact === 'Superseded') {
      const outcome = outcomes.get(formatAttemptOn(event, event.data.host));
      if (outcome) late.add(outcome);
    } else if (event.fact !== 'Requested' && whole !== undefined)
      outcomes.set(formatAttemptOn(event, event.source), logged);
  }
  return late;
};

/**
 * The state without those outcomes, as the coordinator knew it then. Without them it continues only an iteration that a
 * person has ended.
 */
const createKnownThen = (events: readonly LoggedEvent[]) => {
  const late = readTooLate(events);
  let state = initialState;
  return {
    /** Whether today's code would write the event on that state. */
    explains: (logged: LoggedEvent): boolean =>
      state.iterations.get(logged.event.iteration)?.abort !== undefined && !judge(logged, state),
    take(logged: LoggedEvent): void {
      if (late.size === 0) return;
      const known = late.has(logged) ? { ...logged, event: parseEvent(logged.bytes) } : logged;
      state = evolve(state, known);
    },
  };
};

/** The state, and what an acceptance says about a withheld iteration: that it had closed, and what it had landed. */
const believingClosed = (
  state: State,
  { iteration, data }: IterationEvent & { type: 'IterationAccepted' },
  withheld: ReadonlySet<string>,
): State | undefined => {
  const { since } = data;
  const asked = state.starts.get(iteration)?.open[0];
  if (!since || !asked || !withheld.has(since.iteration)) return undefined;
  const { repository, folder } = asked.plan.package;
  const { sequence, time, eventId } = asked;
  const closed: EndedIteration = {
    name: since.iteration,
    board: asked.plan.board,
    hosts: [],
    startedBy: asked.by,
    started: { sequence, time, eventId },
    ended: { status: 'closed', sequence, time },
    digest: '',
    landed: { repository, folder, commit: since.commit },
    isRetried: false,
  };
  return { ...state, ended: state.ended.set(since.iteration, closed) };
};

/** The state, and what a refusal says about a withheld iteration: that it was under way on the board. */
const believing = (
  state: State,
  { event }: LoggedEvent,
  withheld: ReadonlySet<string>,
): State | undefined => {
  if (event.kind !== 'iteration') return undefined;
  if (event.type === 'IterationAccepted') return believingClosed(state, event, withheld);
  if (event.type !== 'IterationRefused' && event.type !== 'RetryRefused') return undefined;
  const reason = event.data.reason as Refusal;
  if (reason.code !== 'board-busy' || !withheld.has(reason.iteration)) return undefined;
  const { board, iteration: name } = reason;
  const asked = state.starts.get(event.iteration)?.open[0];
  const like =
    event.type === 'IterationRefused'
      ? asked && beginIteration(name, asked, { rules: [], fleet: event.data.fleet })
      : state.iterations.get(event.iteration);
  if (!like) return undefined;
  const { ended: _ended, ...open } = like;
  const busy = { ...open, name, plan: { ...like.plan, board } };
  return {
    ...state,
    iterations: state.iterations.set(name, busy),
    underWay: state.underWay.set(board, name),
  };
};

const beliefWords = (names: readonly string[]): string =>
  `it depends on ${names.join(', ')}, shown only as hashes; to check it, the whole log is needed: ka replay --check`;

/** The withheld iterations on which an event that differs depends. */
const restsOn = (logged: LoggedEvent, state: State, withheld: ReadonlySet<string>): string[] => {
  const { event } = logged;
  // When a checkpoint is due, and how much it covers, follows from every iteration.
  if (event.kind === 'fleet' && event.type === 'Checkpointed') return [...withheld];
  const believed = believing(state, logged, withheld);
  if (!believed || judge(logged, believed)) return [];
  return [...believed.iterations.keys(), ...believed.ended.keys()].filter((name) => withheld.has(name));
};

/**
 * Folds a log again. Decides again, on the state before it, every event of the coordinator and every event of a person
 * that takes effect at once. No clock is read: the reason of a time-out is taken from the event, and so are the fleet's
 * facts of an answer. What people ask for, events of hosts, and types that this version does not know are only folded.
 * An outcome whose blobs came after its iteration was ended does not count for what was decided before they came.
 * @param withheld the iterations of the log whose events are not shown, as in an export: what a refusal says about them
 * is taken as given.
 */
export const replayCheck = (
  events: readonly LoggedEvent[],
  withheld: ReadonlySet<string> = new Set(),
): ReplayChecked => {
  let state = initialState;
  const knownThen = createKnownThen(events);
  let decided = 0;
  let unjudged = 0;
  const mismatches: Mismatch[] = [];
  const notes: ReplayChecked['notes'] = [];
  for (const logged of events) {
    const { event } = logged;
    if (isOfTheirs(event)) {
      const isUnjudged = isDecision(event) && isBeyondUs(logged, state);
      if (isUnjudged) unjudged += 1;
      else if (isDecision(event)) decided += 1;
      const mismatch = isUnjudged ? undefined : judge(logged, state);
      const believed = mismatch ? restsOn(logged, state, withheld) : [];
      if (believed.length > 0)
        notes.push({ sequence: logged.sequence, type: event.type, why: beliefWords(believed) });
      else if (mismatch && !knownThen.explains(logged)) mismatches.push(mismatch);
    }
    state = evolve(state, logged);
    knownThen.take(logged);
  }
  return { events: events.length, decided, unjudged, mismatches, notes };
};
