import { isDeepStrictEqual } from 'node:util';
import { type KaEvent, type LoggedEvent, parseSubject, type UntypedEvent } from '../../schemas/events.ts';
import type { GivenUpReason, LostReason } from '../../schemas/reasons.ts';
import { withoutWords } from '../../schemas/rendered.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { type Command, decide } from './decide.ts';
import { RefusedByDecider } from './refusal.ts';
import type { State } from './state.ts';

/** Whether an event is one of the decider's: events that a host or a person writes on its own are not. */
export const isDecision = (event: KaEvent): boolean => {
  if (event.kind === 'unknown') return false;
  if (event.kind === 'fleet') return event.type === 'Checkpointed';
  if (event.kind === 'step') return event.fact === 'Requested' || event.fact === 'Superseded';
  return !['IterationStarted', 'RetryAsked', 'DeadlinePassed'].includes(event.type);
};

/**
 * The commands that may have produced an event, the likelier first; none for an event that is no decision, or a
 * decision that this version does not know.
 */
export const commandsBehind = (event: KaEvent): Command[] => {
  if (event.kind === 'step') {
    const { step, iteration, attempt } = event;
    if (event.fact === 'Requested') return [{ do: 'Advance', iteration }];
    if (event.fact !== 'Superseded') return [];
    const { reason, again } = event.data;
    if (reason.code === 'unknown') return [];
    if (reason.code === 'iteration-ends' || reason.code === 'key-revoked')
      return [{ do: 'Advance', iteration }];
    const given = reason as GivenUpReason;
    return [{ do: again ? 'AskAgain' : 'TimeOut', iteration, step, attempt, reason: given }];
  }
  if (event.kind === 'fleet' && event.type === 'Checkpointed') return [{ do: 'Checkpoint', ...event.data }];
  if (event.kind !== 'iteration') return [];
  const { iteration } = event;
  switch (event.type) {
    case 'IterationStarted':
    case 'RetryAsked':
    case 'DeadlinePassed':
      return []; // written by a person or a board
    case 'IterationAccepted': {
      const fleet = event.data.fleet as Extract<Command, { do: 'Answer' }>['fleet'];
      return [{ do: 'Answer', iteration, fleet, planAgrees: true }];
    }
    case 'IterationRefused': {
      const fleet = event.data.fleet as Extract<Command, { do: 'Answer' }>['fleet'];
      return [{ do: 'Answer', iteration, fleet, planAgrees: event.data.reason.code !== 'plan-differs' }];
    }
    case 'ReviewApproved': {
      const { by, note, expires } = event.data;
      return [{ do: 'Approve', iteration, by, note, expires }];
    }
    case 'ReviewRejected': {
      const { by, note } = event.data;
      return [{ do: 'Reject', iteration, by, note }];
    }
    case 'ApprovalExpired':
      return [{ do: 'Expire', iteration, approval: event.data.approval }];
    case 'ClauseWaived':
      return [{ do: 'Waive', iteration, ...event.data }];
    case 'AbortAsked':
      return [{ do: 'Abort', iteration, ...event.data }];
    case 'BoardLost': {
      const { step, attempt, reason } = event.data;
      if (reason.code === 'unknown') return [];
      const lost = reason as LostReason;
      return [{ do: 'Lose', iteration, step: step as StepName, attempt, reason: lost }];
    }
    case 'ApprovalVoided':
      return event.data.reason.code === 'unknown' ? [] : [{ do: 'Advance', iteration }];
    case 'ReviewRequested':
    case 'RetryAccepted':
    case 'RetryRefused':
    case 'IterationClosed':
    case 'IterationFailed':
    case 'IterationAborted':
      return [{ do: 'Advance', iteration }];
  }
};

/**
 * The part of an event that the decider decides: all but its writer's own count, link, signature and time, and the
 * rendered text in it.
 */
export type DecidedFact = Record<string, unknown>;

const factOf = (event: Omit<UntypedEvent, 'host'> & { host?: string | undefined }): DecidedFact => {
  const { type, iteration, attempt, host, causationid, data } = event;
  return JSON.parse(
    JSON.stringify({ type, iteration, attempt, host, causationid, data: withoutWords(data) }),
  );
};

/** The fact of an event as it was written, not as today's schema reads it. */
export const writtenFact = ({ event, bytes, subject, whole }: LoggedEvent): DecidedFact => {
  const data = whole ?? (JSON.parse(new TextDecoder().decode(bytes)) as { data: unknown }).data;
  const { type, iteration, attempt, causationid } = event;
  return factOf({
    type,
    iteration,
    attempt,
    data,
    host: parseSubject(subject)?.host,
    ...(causationid === undefined ? {} : { causationid }),
  });
};

/** The facts that a command produces on a state. If there are several, any of them may be appended first. */
export const decideFacts = (
  command: Command,
  state: State,
): { facts: DecidedFact[]; refused?: RefusedByDecider } => {
  try {
    return { facts: decide(command, state).map(factOf) };
  } catch (error) {
    if (error instanceof RefusedByDecider) return { facts: [], refused: error };
    return { facts: [] }; // a forged log may hold a command whose preconditions are missing
  }
};

/** Whether the decider produces exactly this fact on the state. */
export const isDecidedNow = (logged: LoggedEvent, state: State): boolean => {
  const fact = writtenFact(logged);
  return commandsBehind(logged.event).some((command) =>
    decideFacts(command, state).facts.some((decided) => isDeepStrictEqual(decided, fact)),
  );
};
