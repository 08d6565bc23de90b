import type { KaEvent, NewEvent } from '../../schemas/events.ts';
import { type Command, decide } from './decide.ts';
import type { State } from './state.ts';

/** The commands that may have made an event, the likelier first; none for what hosts say. */
export const commandsBehind = (event: KaEvent): Command[] => {
  if (event.kind === 'step') {
    const { step, iteration, attempt } = event;
    if (event.fact === 'Requested') return [{ do: 'Advance' }];
    if (event.fact !== 'Superseded') return [];
    // Whether the clock or the end of the iteration superseded it, the event does not say: only its reason does.
    const { because, again } = event.data;
    return [{ do: 'Advance' }, { do: again ? 'AskAgain' : 'TimeOut', iteration, step, attempt, because }];
  }
  if (event.kind === 'fleet' && event.type === 'Checkpointed') return [{ do: 'Checkpoint', ...event.data }];
  if (event.kind !== 'iteration') return []; // an operator's LogRestored is no decision
  const { iteration } = event;
  switch (event.type) {
    case 'IterationStarted':
      return [{ do: 'Start', iteration, data: event.data }];
    case 'ReviewApproved':
    case 'ReviewRejected': {
      const { by, note } = event.data;
      const expires = event.type === 'ReviewApproved' ? event.data.expires : undefined;
      return [{ do: 'Approve', iteration, by, note, approved: event.type === 'ReviewApproved', expires }];
    }
    case 'ApprovalExpired':
      return [{ do: 'Expire', iteration, approval: event.data.approval }];
    case 'ClauseWaived':
      return [{ do: 'Waive', iteration, ...event.data }];
    case 'RetryAsked':
      return [{ do: 'Retry', iteration, ...event.data }];
    case 'AbortAsked':
      return [{ do: 'Abort', iteration, ...event.data }];
    case 'BoardLost': {
      const { step, attempt, because } = event.data;
      return [{ do: 'Lose', iteration, step, attempt, because }];
    }
    case 'DeadlinePassed':
      return []; // a board's to say
    case 'ReviewRequested':
    case 'IterationClosed':
    case 'IterationFailed':
    case 'IterationAborted':
      return [{ do: 'Advance' }];
  }
};

/** A fact as far as the decider makes it: all but its writer's own count, link, signature and time. */
export type DecidedFact = Record<string, unknown>;

const factOf = (event: NewEvent | (KaEvent & { host: string | undefined })): DecidedFact => {
  const { type, iteration, attempt, host, causationid, data } = event;
  return JSON.parse(JSON.stringify({ type, iteration, attempt, host, causationid, data }));
};

/** The fact of an event as it was written, and not as today's schema reads it. */
export const writtenFact = (logged: { event: KaEvent; bytes: Uint8Array; subject: string }): DecidedFact => {
  const { data } = JSON.parse(new TextDecoder().decode(logged.bytes)) as { data: unknown };
  const [, , , , , , host] = logged.subject.split('.');
  return factOf({ ...logged.event, data, host } as KaEvent & { host: string | undefined });
};

/** What a command makes of a state now. Of several facts that one state asks for, any may be appended first. */
export const decideFacts = (command: Command, state: State): { facts: DecidedFact[]; refused?: string } => {
  try {
    return { facts: decide(command, state).map(factOf) };
  } catch (error) {
    return { facts: [], refused: error instanceof Error ? error.message : String(error) };
  }
};
