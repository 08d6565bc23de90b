import type { Presence } from '../../eventlog/live/presence.ts';
import { createSayOnce } from '../../eventlog/say-once.ts';
import { type AttemptId, formatAttempt, formatAttemptOn } from '../../schemas/attempt-id.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { State } from '../decider/state.ts';
import type { CoordinatorPorts } from './ports.ts';
import { openAttempts, type Stopwatch } from './time-limits.ts';

/** A host had the time to hear of an attempt if its presence comes this long after the attempt was seen open. */
const hearsWithinMs = 5_000;
/** A presence that comes this long after an ack was also sent after it. */
const saysWithinMs = 1_000;
/** A remake that did not help is repeated after this time at the earliest. */
const againAfterMs = 30_000;
/** A durable that nothing speaks against is looked at so often. */
const lookEveryMs = 30_000;
/** A host has noted most requests by then. Until then, that it does not name an attempt says nothing. */
const notesWithinMs = 1_500;

/** A host's presence, and when it was heard, by a clock that only runs forward. Milliseconds. */
interface Heard {
  presence: Presence;
  at: number;
}

/** Why a host's durable has to be made again, and from which sequence it has to redeliver. */
interface Remake {
  from: number;
  why: string;
}

type OpenAttempt = ReturnType<typeof openAttempts>[number];

/** The attempts that are open now, by their host. */
const openByHost = (state: State): ReadonlyMap<string, OpenAttempt[]> => {
  const byHost = new Map<string, OpenAttempt[]>();
  for (const open of openAttempts(state)) {
    const { host } = open.attempt;
    byHost.set(host, [...(byHost.get(host) ?? []), open]);
  }
  return byHost;
};

/** The last presence of each host. */
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
    /**
     * Whether the host, heard long enough after the attempt was seen open, has neither the attempt nor an unsent
     * outcome.
     */
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

/** How far each durable was acked, and when that floor was first seen. */
const createFloors = () => {
  const floors = new Map<string, { ackedUpTo: number; at: number }>();
  /** @returns when this floor was first seen. */
  return (host: string, ackedUpTo: number, now: number): number => {
    const known = floors.get(host);
    const seen = known?.ackedUpTo === ackedUpTo ? known : { ackedUpTo, at: now };
    floors.set(host, seen);
    return seen.at;
  };
};

/** When each durable was last made again, and why. */
const createRemade = () => {
  const made = new Map<string, { why: string; at: number }>();
  return {
    note: (host: string, why: string, at: number) => void made.set(host, { why, at }),
    isWell: (host: string) => void made.delete(host),
    /** Whether the same remake was just tried and did not help. */
    justNow(host: string, why: string, now: number): boolean {
      const before = made.get(host);
      return before?.why === why && now - before.at < againAfterMs;
    },
  };
};

/** What is known when a host's durable is looked at. */
interface Looking {
  state: State;
  /** The host's open attempts. */
  open: readonly OpenAttempt[];
  openSince: Stopwatch['openSince'];
  now: number;
}

/**
 * Which durables are to be looked at. Each look asks the server, so most hosts of a large fleet are left alone: those
 * that name all that is asked of them, and whose journals have not gone back.
 */
const createDue = ({ last }: ReturnType<typeof createHeardHosts>) => {
  /** The last look at each durable that left no doubt, and the host's highest position since. */
  const well = new Map<string, { at: number; position: number | undefined }>();
  const positionOf = (host: string) => last(host)?.presence.position;
  const isNamed = (host: string, { id }: OpenAttempt) =>
    last(host)?.presence.open?.includes(formatAttempt(id)) === true;
  return {
    isDue(host: string, { open, openSince, now }: Looking): boolean {
      const before = well.get(host);
      if (!before || now - before.at >= lookEveryMs) return true;
      const position = positionOf(host);
      if (position !== undefined && position < (before.position ?? Number.POSITIVE_INFINITY)) return true;
      before.position = position;
      return open.some(
        (one) => !isNamed(host, one) && now - openSince(formatAttemptOn(one.id, host)) >= notesWithinMs,
      );
    },
    isWell: (host: string, at: number) => void well.set(host, { at, position: positionOf(host) }),
    isInDoubt: (host: string) => void well.delete(host),
  };
};

type TenderPorts = Pick<CoordinatorPorts, 'log' | 'durables' | 'say'>;

/**
 * Finds why a host's durable has to be made again: the server has lost it, the log its tail, or the host its journal.
 */
const createDiagnosis = (
  { log, durables }: TenderPorts,
  { last, doesNotKnow }: ReturnType<typeof createHeardHosts>,
) => {
  const floorSeenAt = createFloors();

  /** An open attempt of the host of which it should have heard and has not. */
  const unheard = (host: string, { state, open, openSince }: Looking): Remake | undefined => {
    for (const { attempt, id } of open)
      if (attempt.epoch === state.epoch && doesNotKnow(host, id, openSince))
        return { from: attempt.requested.sequence, why: `it has not heard of ${formatAttempt(id)}` };
    return undefined;
  };

  /** @returns `unclear` if only a later presence can show it. */
  return async (host: string, looking: Looking): Promise<Remake | 'unclear' | undefined> => {
    const { state, now } = looking;
    const heard = last(host);
    const position = heard?.presence.position;
    const durable = await durables.position(host);
    if (!durable) {
      // The position of a silent host is unknown: its durable is made once it reports its position.
      if (!heard) return undefined;
      const from = position === undefined || position > state.sequence ? 1 : position + 1;
      return { from, why: 'it was gone' };
    }
    const { ackedUpTo, deliveredUpTo } = durable;
    if (deliveredUpTo > state.sequence && deliveredUpTo > (await log.lastSequence()))
      return { from: 1, why: 'it stood beyond the end of the log' };
    const floorAt = floorSeenAt(host, ackedUpTo, now);
    if (!heard || position === undefined) return undefined;
    // A presence sent before the ack does not show the journal as it is now.
    if (position < ackedUpTo) {
      if (heard.at - floorAt < saysWithinMs) return unheard(host, looking) ?? 'unclear';
      // The floor also counts messages that are not for this host: only one that is for it is missing in its journal.
      const next = await durables.nextFor(host, position);
      if (next !== undefined && next <= ackedUpTo)
        return { from: next, why: `its journal holds nothing after sequence ${position}` };
    }
    return unheard(host, looking);
  };
};

/**
 * Keeps the hosts' durable consumers in step with the hosts' journals. If the server lost a durable, the log its tail
 * or a host its journal, the durable would deliver nothing, without an error. Messages that are delivered twice do no
 * harm.
 */
export const createTender = (ports: TenderPorts, fleet: Fleet) => {
  const { log, durables, say } = ports;
  const heard = createHeardHosts(say);
  const diagnose = createDiagnosis(ports, heard);
  const remade = createRemade();
  const due = createDue(heard);
  /** The hosts whose durable has an unknown position since the log was cut. */
  const adrift = new Set<string>();
  const looking = createSayOnce(say);

  const lookAt = async (host: string, about: Looking): Promise<void> => {
    const { now } = about;
    const isAdrift = adrift.has(host);
    if (!isAdrift && !due.isDue(host, about)) return;
    due.isInDoubt(host);
    const remake = isAdrift ? { from: 1, why: 'the log was cut' } : await diagnose(host, about);
    if (remake === undefined) due.isWell(host, now);
    if (remake === undefined || remake === 'unclear') return remade.isWell(host);
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
    /** The log was cut: what the durables have delivered since is unknown. */
    cut: (): void => {
      for (const host of Object.keys(fleet.hosts)) adrift.add(host);
    },
    /**
     * Looks at the durables that may not be well, and makes them again if necessary. @param state has to hold all that
     * the log does.
     */
    look: async (state: State, openSince: Stopwatch['openSince'], now: number): Promise<void> => {
      const open = openByHost(state);
      for (const host of Object.keys(fleet.hosts))
        try {
          await lookAt(host, { state, open: open.get(host) ?? [], openSince, now });
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
