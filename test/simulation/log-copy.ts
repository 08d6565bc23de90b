import { isDeepStrictEqual } from 'node:util';
import { commandsBehind, decideFacts, writtenFact } from '../../coordinator/decider/commands-behind.ts';
import type { State } from '../../coordinator/decider/state.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { coordinator, isPerson } from '../../schemas/events.ts';

/** Hosts offer again what they wrote within seconds of finding it gone. */
const waitForHostsMs = 15_000;

export type NextAgain = { do: 'append'; event: LoggedEvent } | { do: 'wait' } | { do: 'decide' };

/** A coordinator's copy of the log, after `coordinator/daemon/log-copy.ts`, and what it does of it, after `coordinator/daemon/say-again.ts`. */
export interface SimulatedCopy {
  keep(logged: LoggedEvent): void;
  /** Compares it with the log: what is there no more is lost. */
  compare(events: readonly LoggedEvent[]): void;
  forgetAll(): void;
  next(state: State, now: number): NextAgain;
}

/** Whether the decider would write this very fact on the state as it is, and it is this writer's next. */
const isDueNow = (logged: LoggedEvent, state: State): boolean => {
  const { event } = logged;
  const last = state.writers.get(coordinator);
  if (event.writerseq !== (last?.seq ?? 0) + 1 || event.prevhash !== last?.hash) return false;
  const fact = writtenFact(logged);
  return commandsBehind(event).some((command) =>
    decideFacts(command, state).facts.some((decided) => isDeepStrictEqual(decided, fact)),
  );
};

const isSame = (a: LoggedEvent, b: LoggedEvent | undefined): boolean =>
  a === b || (a.subject === b?.subject && Buffer.compare(a.bytes, b.bytes) === 0);

export const createSimulatedCopy = (begin: readonly LoggedEvent[], isBlind: boolean): SimulatedCopy => {
  const kept = [...begin];
  const atBegin = kept.length;
  const lost = new Map<string, LoggedEvent>();
  let still: { count: number; since: number } | undefined;
  return {
    keep(logged) {
      kept[logged.sequence - 1] = logged;
      lost.delete(logged.subject);
    },
    compare(events) {
      const differs = kept.findIndex((logged, index) => !isSame(logged, events[index]));
      if (differs === -1) return;
      for (const logged of kept.splice(differs))
        if (!lost.has(logged.subject)) lost.set(logged.subject, logged);
    },
    forgetAll() {
      kept.length = atBegin;
      lost.clear();
    },
    next(state, now) {
      if (lost.size === 0) {
        still = undefined;
        return { do: 'decide' };
      }
      const events = [...lost.values()];
      const own = events
        .filter(({ event }) => event.source === coordinator)
        .sort((a, b) => a.event.writerseq - b.event.writerseq);
      const [next] = own;
      if (next && (isBlind || isDueNow(next, state))) return { do: 'append', event: next };
      if (events.some(({ event }) => isPerson(event.source))) return { do: 'wait' };
      if (still?.count !== events.length) still = { count: events.length, since: now };
      if (!next) return { do: 'decide' };
      if (own.length < events.length && now - still.since < waitForHostsMs) return { do: 'wait' };
      for (const { subject } of own) lost.delete(subject);
      return { do: 'decide' };
    },
  };
};
