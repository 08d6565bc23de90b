import type { Presence } from '../../eventlog/live/presence.ts';
import { createSayOnce } from '../../eventlog/say-once.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { State } from '../decider/state.ts';
import type { CoordinatorPorts } from './ports.ts';
import { attemptKey, openAttempts, type Stopwatch } from './time-limits.ts';

/** A presence that comes so long after an attempt was seen open speaks of a host that had the time to hear of it. */
const hearsWithinMs = 5_000;
/** A presence that comes so long after an ack was said after it. */
const saysWithinMs = 1_000;
/** What did not help is not tried again before. */
const againAfterMs = 30_000;

/** What a host says of itself, and when it was heard, by a clock that only runs forward. Milliseconds. */
export interface Heard {
  presence: Presence;
  at: number;
}

/** Why a host's durable has to be made anew, and from which sequence it is to hand over again. */
export interface Remake {
  from: number;
  why: string;
}

/** Names an attempt as hosts do: `iter5 build 1`. */
const attemptName = (iteration: string, step: string, number: number) => `${iteration} ${step} ${number}`;

/**
 * Keeps the hosts' durable consumers where the hosts' journals are: after the server has lost one, or the log its tail,
 * or a host its journal, a durable would starve in silence. What is handed over twice does no harm.
 */
export const createTender = (
  { log, durables, say }: Pick<CoordinatorPorts, 'log' | 'durables' | 'say'>,
  fleet: Fleet,
) => {
  const heard = new Map<string, Heard>();
  /** When a durable was last made anew, and for what. */
  const made = new Map<string, { why: string; at: number }>();
  /** How far each durable was acked, and when that was seen first. */
  const floors = new Map<string, { ackedUpTo: number; at: number }>();
  /** The hosts whose durable may stand anywhere since the log was cut. */
  const adrift = new Set<string>();
  const looking = createSayOnce(say);

  /** Whether the host, heard of long enough after the attempt was seen open, has neither it nor its outcome. */
  const doesNotKnow = (host: string, name: string, openSince: number): boolean => {
    const last = heard.get(host);
    return (
      last?.presence.open !== undefined &&
      last.at - openSince >= hearsWithinMs &&
      last.presence.unsent === 0 &&
      !last.presence.open.includes(name)
    );
  };

  const remakeOf = async (
    host: string,
    state: State,
    openSince: Stopwatch['openSince'],
    now: number,
  ): Promise<Remake | undefined> => {
    const { presence: { position } = {}, at = 0 } = heard.get(host) ?? {};
    if (adrift.has(host)) return { from: 1, why: 'the log was cut' };
    const durable = await durables.position(host);
    if (!durable) {
      // Of a host that is silent nothing is known: it is made once the host says where it stands.
      if (!heard.has(host)) return undefined;
      const from = position === undefined || position > state.sequence ? 1 : position + 1;
      return { from, why: 'it was gone' };
    }
    const { ackedUpTo, deliveredUpTo } = durable;
    if (deliveredUpTo > state.sequence && deliveredUpTo > (await log.lastSequence()))
      return { from: 1, why: 'it stood beyond the end of the log' };
    const floor = floors.get(host);
    const seen = floor?.ackedUpTo === ackedUpTo ? floor : { ackedUpTo, at: now };
    floors.set(host, seen);
    if (position === undefined) return undefined;
    // What the host said before it acked says nothing of its journal now.
    if (position < ackedUpTo && at - seen.at >= saysWithinMs) {
      // The floor also counts what is for nobody: only a message for the host is missing in its journal.
      const next = await durables.nextFor(host, position);
      if (next !== undefined && next <= ackedUpTo)
        return { from: next, why: `its journal holds nothing after sequence ${position}` };
    }
    for (const { iteration, step, attempt } of openAttempts(state)) {
      const name = attemptName(iteration.name, step, attempt.number);
      if (attempt.host !== host || attempt.epoch !== state.epoch) continue;
      if (doesNotKnow(host, name, openSince(attemptKey(iteration, step, attempt))))
        return { from: attempt.requested.sequence, why: `it has not heard of ${name}` };
    }
    return undefined;
  };

  return {
    hear: (presence: Presence, at: number): void => {
      const before = heard.get(presence.host)?.presence.trouble ?? null;
      if (presence.trouble && presence.trouble !== before)
        say(`${presence.host} does not work: ${presence.trouble}`);
      heard.set(presence.host, { presence, at });
    },
    /** The log was cut: nobody knows what the durables have handed over since. */
    cut: (): void => {
      for (const host of Object.keys(fleet.hosts)) adrift.add(host);
    },
    /** Looks at each durable and makes anew what has to be. @param state has to hold all that the log does. */
    look: async (state: State, openSince: Stopwatch['openSince'], now: number): Promise<void> => {
      for (const host of Object.keys(fleet.hosts))
        try {
          const remake = await remakeOf(host, state, openSince, now);
          if (!remake) {
            made.delete(host);
            continue;
          }
          const { from, why } = remake;
          const before = made.get(host);
          if (before?.why === why && now - before.at < againAfterMs && !adrift.has(host)) continue;
          await durables.remake(host, from);
          adrift.delete(host);
          made.set(host, { why, at: now });
          say(`${host}'s durable was made again from sequence ${from}: ${why}`);
          looking.over();
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
      (host: string, name: string): boolean =>
        doesNotKnow(host, name, openSince(`${name} ${host}`)),
  };
};
