import type { Presence } from '../../eventlog/live/presence.ts';
import { createSayOnce } from '../../eventlog/say-once.ts';
import { type AttemptId, formatAttempt, formatAttemptOn } from '../../schemas/attempt-id.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { State } from '../decider/state.ts';
import type { CoordinatorPorts } from './ports.ts';
import { openAttempts, type Stopwatch } from './time-limits.ts';

/** A presence that comes so long after an attempt was seen open speaks of a host that had the time to hear of it. */
const hearsWithinMs = 5_000;
/** A presence that comes so long after an ack was said after it. */
const saysWithinMs = 1_000;
/** What did not help is not tried again before. */
const againAfterMs = 30_000;

/** What a host says of itself, and when it was heard, by a clock that only runs forward. Milliseconds. */
interface Heard {
  presence: Presence;
  at: number;
}

/** Why a host's durable has to be made anew, and from which sequence it is to hand over again. */
interface Remake {
  from: number;
  why: string;
}

/** What the hosts say of themselves. */
const createHeardHosts = (say: (text: string) => void) => {
  const heard = new Map<string, Heard>();
  return {
    last: (host: string): Heard | undefined => heard.get(host),
    hear(presence: Presence, at: number): void {
      const before = heard.get(presence.host)?.presence.trouble ?? null;
      if (presence.trouble && presence.trouble !== before)
        say(`${presence.host} does not work: ${presence.trouble}`);
      heard.set(presence.host, { presence, at });
    },
    /** Whether the host, heard of long enough after the attempt was seen open, has neither it nor its outcome. */
    doesNotKnow(host: string, attempt: AttemptId, openSince: Stopwatch['openSince']): boolean {
      const last = heard.get(host);
      return (
        last?.presence.open !== undefined &&
        last.at - openSince(formatAttemptOn(attempt, host)) >= hearsWithinMs &&
        last.presence.unsent === 0 &&
        !last.presence.open.includes(formatAttempt(attempt))
      );
    },
  };
};

/** How far each durable was acked, and when that was seen first. */
const createFloors = () => {
  const floors = new Map<string, { ackedUpTo: number; at: number }>();
  /** @returns when this floor was seen first. */
  return (host: string, ackedUpTo: number, now: number): number => {
    const known = floors.get(host);
    const seen = known?.ackedUpTo === ackedUpTo ? known : { ackedUpTo, at: now };
    floors.set(host, seen);
    return seen.at;
  };
};

/** When each durable was last made again, and for what. */
const createRemade = () => {
  const made = new Map<string, { why: string; at: number }>();
  return {
    note: (host: string, why: string, at: number) => void made.set(host, { why, at }),
    isWell: (host: string) => void made.delete(host),
    /** Whether the same was tried just now, and did not help. */
    justNow(host: string, why: string, now: number): boolean {
      const before = made.get(host);
      return before?.why === why && now - before.at < againAfterMs;
    },
  };
};

type TenderPorts = Pick<CoordinatorPorts, 'log' | 'durables' | 'say'>;

/** Finds why a host's durable has to be made again: whether the log, the server or the host has lost what it rests on. */
const createDiagnosis = (
  { log, durables }: TenderPorts,
  { last, doesNotKnow }: ReturnType<typeof createHeardHosts>,
) => {
  const floorSeenAt = createFloors();

  /** An open attempt of the host that it should have heard of and has not. */
  const unheard = (host: string, state: State, openSince: Stopwatch['openSince']): Remake | undefined => {
    for (const { attempt, id } of openAttempts(state))
      if (attempt.host === host && attempt.epoch === state.epoch && doesNotKnow(host, id, openSince))
        return { from: attempt.requested.sequence, why: `it has not heard of ${formatAttempt(id)}` };
    return undefined;
  };

  return async (
    host: string,
    state: State,
    openSince: Stopwatch['openSince'],
    now: number,
  ): Promise<Remake | undefined> => {
    const heard = last(host);
    const position = heard?.presence.position;
    const durable = await durables.position(host);
    if (!durable) {
      // Of a host that is silent nothing is known: it is made once the host says where it stands.
      if (!heard) return undefined;
      const from = position === undefined || position > state.sequence ? 1 : position + 1;
      return { from, why: 'it was gone' };
    }
    const { ackedUpTo, deliveredUpTo } = durable;
    if (deliveredUpTo > state.sequence && deliveredUpTo > (await log.lastSequence()))
      return { from: 1, why: 'it stood beyond the end of the log' };
    const floorAt = floorSeenAt(host, ackedUpTo, now);
    if (!heard || position === undefined) return undefined;
    // What the host said before it acked says nothing of its journal now.
    if (position < ackedUpTo && heard.at - floorAt >= saysWithinMs) {
      // The floor also counts what is for nobody: only a message for the host is missing in its journal.
      const next = await durables.nextFor(host, position);
      if (next !== undefined && next <= ackedUpTo)
        return { from: next, why: `its journal holds nothing after sequence ${position}` };
    }
    return unheard(host, state, openSince);
  };
};

/**
 * Keeps the hosts' durable consumers where the hosts' journals are: after the server has lost one, or the log its tail,
 * or a host its journal, a durable would starve in silence. What is handed over twice does no harm.
 */
export const createTender = (ports: TenderPorts, fleet: Fleet) => {
  const { log, durables, say } = ports;
  const heard = createHeardHosts(say);
  const diagnose = createDiagnosis(ports, heard);
  const remade = createRemade();
  /** The hosts whose durable may stand anywhere since the log was cut. */
  const adrift = new Set<string>();
  const looking = createSayOnce(say);

  const lookAt = async (
    host: string,
    state: State,
    openSince: Stopwatch['openSince'],
    now: number,
  ): Promise<void> => {
    const isAdrift = adrift.has(host);
    const remake = isAdrift
      ? { from: 1, why: 'the log was cut' }
      : await diagnose(host, state, openSince, now);
    if (!remake) return remade.isWell(host);
    const { from, why } = remake;
    if (!isAdrift && remade.justNow(host, why, now)) return;
    await durables.remake(host, from);
    adrift.delete(host);
    remade.note(host, why, now);
    say(`${host}'s durable was made again from sequence ${from}: ${why}`);
    looking.over();
  };

  return {
    hear: heard.hear,
    /** The log was cut: nobody knows what the durables have handed over since. */
    cut: (): void => {
      for (const host of Object.keys(fleet.hosts)) adrift.add(host);
    },
    /** Looks at each durable and makes anew what has to be. @param state has to hold all that the log does. */
    look: async (state: State, openSince: Stopwatch['openSince'], now: number): Promise<void> => {
      for (const host of Object.keys(fleet.hosts))
        try {
          await lookAt(host, state, openSince, now);
        } catch (error) {
          if (log.isClosed()) return;
          const why = await durables.explain(error);
          looking.trouble(why, "the hosts' durables can't be looked at: ");
          return;
        }
    },
    /** As {@link Stopwatch.isUnknownTo}. */
    isUnknownTo:
      (openSince: Stopwatch['openSince']) =>
      (host: string, attempt: AttemptId): boolean =>
        heard.doesNotKnow(host, attempt, openSince),
  };
};
