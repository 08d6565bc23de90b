import type { z } from 'zod';
import {
  type FleetFacts,
  type fleetEvents,
  type LoggedEvent,
  type NewEvent,
  noIteration,
} from '../../schemas/events.ts';
import type { GivenUpReason, LostReason } from '../../schemas/reasons.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { advance } from './advance.ts';
import { retryFault, startFault, startRefusal } from './asks.ts';
import { checkpointDue } from './checkpoint-due.ts';
import { lastClosed } from './ended-iterations.ts';
import { lastingApprovals } from './graph.ts';
import { type DataOf, iterationEvent, supersede } from './new-events.ts';
import { abort, knownIteration, review, type Word, waive } from './people.ts';
import { RefusedByDecider } from './refusal.ts';
import { rules } from './rules.ts';
import { attemptsOf, lostBoard, type State } from './state.ts';

/**
 * What people, and the coordinator itself, want to happen. Time enters only as `TimeOut`, `AskAgain`, `Lose` and
 * `Expire`.
 */
export type Command =
  /** A person asks for an iteration; the coordinator answers. */
  | { do: 'Start'; iteration: string; data: DataOf<'IterationStarted'> }
  /** The coordinator answers the oldest start of that name, based on these facts of the fleet's file. */
  | { do: 'Answer'; iteration: string; fleet: FleetFacts; planAgrees: boolean }
  /** What an iteration's events ask for next; without a name, those of all that are known. */
  | { do: 'Advance'; iteration?: string }
  | { do: 'TimeOut'; iteration: string; step: StepName; attempt: number; reason: GivenUpReason }
  /** The host never heard of the attempt and no longer takes it: the coordinator asks it again. */
  | { do: 'AskAgain'; iteration: string; step: StepName; attempt: number; reason: GivenUpReason }
  /** A board that the iteration has changed is silent past the step's limit. */
  | { do: 'Lose'; iteration: string; step: StepName; attempt: number; reason: LostReason }
  /** A host is told a checkpoint. Its hashes are not decided: whoever checks the log computes them again. */
  | ({ do: 'Checkpoint' } & z.output<(typeof fleetEvents)['Checkpointed']>)
  /** An approval has expired, and nothing was landed on it. */
  | { do: 'Expire'; iteration: string; approval: number }
  | ({ do: 'Approve'; expires: string } & Word)
  | ({ do: 'Reject' } & Word)
  /** A person asks for it; the coordinator answers. */
  | { do: 'Retry'; iteration: string; by: string }
  | { do: 'Abort'; iteration: string; by: string; why: string }
  | { do: 'Waive'; iteration: string; clause: string; by: string; why: string };

type CommandTo<Do extends Command['do']> = Extract<Command, { do: Do }>;

const start = (state: State, { iteration, data }: CommandTo<'Start'>): NewEvent[] => {
  const reason = startFault(state, iteration, data);
  if (reason) throw new RefusedByDecider(iteration, reason);
  const before = state.starts.get(iteration);
  if (before?.open.some(({ by }) => by === data.by))
    throw new RefusedByDecider(iteration, { code: 'asked-already' });
  return [iterationEvent(iteration, 'IterationStarted', (before?.asked ?? 0) + 1, data)];
};

const answer = (state: State, { iteration, fleet, planAgrees }: CommandTo<'Answer'>): NewEvent[] => {
  const starts = state.starts.get(iteration);
  const asked = starts?.open[0];
  if (!starts || !asked) return [];
  const reason = startRefusal(state, iteration, { fleet, planAgrees });
  if (reason)
    return [
      iterationEvent(iteration, 'IterationRefused', starts.refusals + 1, { reason, fleet }, asked.eventId),
    ];
  const since = lastClosed(state, asked.plan.package);
  const data = { rules: [...rules.names], fleet, ...(since ? { since } : {}) };
  return [iterationEvent(iteration, 'IterationAccepted', 1, data, asked.eventId)];
};

const giveUp = (state: State, command: CommandTo<'TimeOut' | 'AskAgain' | 'Lose'>): NewEvent[] => {
  const iteration = knownIteration(state, command.iteration);
  const { step } = command;
  const attempt = attemptsOf<StepName>(iteration, step).find(({ number }) => number === command.attempt);
  if (iteration.ended || attempt?.status !== 'open' || rules.unknownIn(iteration).length > 0) return [];
  if (command.do !== 'Lose')
    return [supersede(iteration, step, attempt, command.reason, command.do === 'AskAgain')];
  if (lostBoard(iteration, state)) return [];
  const { host, number } = attempt;
  const seen = state.hosts.get(host);
  const lastSeen = seen ? { bootId: seen.bootId, release: seen.release, package: seen.package } : null;
  const data = { host, step, attempt: number, reason: command.reason, lastSeen };
  return [iterationEvent(iteration.name, 'BoardLost', iteration.losses + 1, data, iteration.last.eventId)];
};

const checkpoint = (state: State, { do: _do, ...data }: CommandTo<'Checkpoint'>): NewEvent[] => {
  if (data.size !== state.sequence || !checkpointDue(state).includes(data.host)) return [];
  const attempt = state.checkpointsTold + 1;
  return [{ type: 'Checkpointed', iteration: noIteration, attempt, host: data.host, data }];
};

const expire = (state: State, command: CommandTo<'Expire'>): NewEvent[] => {
  const iteration = knownIteration(state, command.iteration);
  const approval = lastingApprovals(iteration).find(({ sequence }) => sequence === command.approval);
  if (!approval?.expires) return [];
  const { by, expires, sequence } = approval;
  const data = { by, approval: sequence, expires };
  return [iterationEvent(iteration.name, 'ApprovalExpired', sequence, data, iteration.last.eventId)];
};

const retry = (state: State, { iteration: name, by }: CommandTo<'Retry'>): NewEvent[] => {
  const iteration = knownIteration(state, name);
  const reason = iteration.retryAsked ? ({ code: 'asked-already' } as const) : retryFault(state, iteration);
  if (reason) throw new RefusedByDecider(name, reason);
  return [iterationEvent(name, 'RetryAsked', iteration.retriesAsked + 1, { by }, iteration.last.eventId)];
};

/** The iterations of which other facts may follow once an event was folded. */
export const touchedBy = ({ event }: LoggedEvent, { underWay }: Pick<State, 'underWay'>): string[] => {
  if (event.kind !== 'fleet') return [event.iteration];
  // It may have signed what any of them rests on.
  if (event.type === 'KeyRevoked') return [...underWay.values()];
  // A board that was given up as lost is back.
  const onBoard = event.type === 'AgentStarted' ? underWay.get(event.source) : undefined;
  return onBoard === undefined ? [] : [onBoard];
};

const advanceNamed = (state: State, name: string | undefined): NewEvent[] => {
  if (name === undefined) return [...state.iterations.values()].flatMap((one) => advance(one, state));
  const iteration = state.iterations.get(name);
  return iteration ? advance(iteration, state) : [];
};

/**
 * The events that a command produces on a state. Pure: the same command on the same state gives the same events. If
 * there are several, append one, fold it, and decide again.
 * @throws {RefusedByDecider} if what a person asked for can't be done.
 */
export const decide = (command: Command, state: State): NewEvent[] => {
  switch (command.do) {
    case 'Start':
      return start(state, command);
    case 'Answer':
      return answer(state, command);
    case 'Advance':
      return advanceNamed(state, command.iteration);
    case 'TimeOut':
    case 'AskAgain':
    case 'Lose':
      return giveUp(state, command);
    case 'Checkpoint':
      return checkpoint(state, command);
    case 'Expire':
      return expire(state, command);
    case 'Approve':
      return review(state, command, { until: command.expires });
    case 'Reject':
      return review(state, command, false);
    case 'Retry':
      return retry(state, command);
    case 'Abort':
      return abort(state, command);
    case 'Waive':
      return waive(state, command);
  }
};
