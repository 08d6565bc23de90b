import { createOpenSince, overdue } from '../../coordinator/daemon/time-limits.ts';
import { type Command, decide } from '../../coordinator/decider/decide.ts';
import { evolve } from '../../coordinator/decider/evolve.ts';
import type { Iteration, State } from '../../coordinator/decider/state.ts';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { coordinator, type NewEvent } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import { stepNames } from '../../schemas/step-names.ts';
import { createSimulatedCopy } from './log-copy.ts';
import { noKey, type Presence, type SimulatedHost } from './simulated-host.ts';
import type { SimulatedLog } from './simulated-log.ts';
import type { Simulation } from './simulation.ts';

/** What `Advance` makes of the iterations: it is pure, asks nothing else of a state, and is asked of the same ones often. */
const advances = new WeakMap<Iteration, NewEvent[]>();
const advance = (state: State): NewEvent[] => {
  const [iteration, ...more] = state.iterations.values();
  if (!iteration || more.length > 0) return decide({ do: 'Advance' }, state);
  const known = advances.get(iteration);
  if (known) return known;
  const events = decide({ do: 'Advance' }, state);
  advances.set(iteration, events);
  return events;
};

/** One is not enough: what was lost may be put back in another order, and the last one where it was. */
const comparedAtOnce = 16;

interface Open {
  /** As a presence names it. */
  name: string;
  host: string;
  sequence: number;
}

const opens = new WeakMap<Iteration, readonly Open[]>();
const openOf = (iteration: Iteration): readonly Open[] => {
  const known = opens.get(iteration);
  if (known) return known;
  const open: Open[] = [];
  if (!iteration.ended)
    for (const step of stepNames)
      for (const { status, number, host, requested } of iteration.attempts[step])
        if (status === 'open')
          open.push({
            name: `${iteration.name} ${step} ${number}`,
            host,
            sequence: requested.sequence,
          });
  opens.set(iteration, open);
  return open;
};

/** The attempts that are open now. */
export const openAttempts = (state: State): readonly Open[] => {
  const [iteration, ...more] = state.iterations.values();
  return iteration ? [iteration, ...more].flatMap(openOf) : [];
};

/** Whether nothing is left to decide. */
export const isAtRest = (state: State): boolean => advance(state).length === 0;

export interface CoordinatorMutations {
  /** After a cut it appends all its missing events again, in order, whatever has become of the attempts before them. */
  appendsAgainBlindly: boolean;
}

export interface SimulatedCoordinator {
  start(): void;
  kill(downMs: number): void;
  /** The server is up again. */
  reconnect(): void;
}

/**
 * A coordinator, after `coordinator/daemon/daemon.ts`: it follows the log, folds it, and appends the first event of what
 * `decide` makes of it; it looks at its stopwatch and at the hosts' durables; after a cut it appends its own events again
 * from its copy of the log. `decide`, `evolve` and `overdue` are the real ones.
 */
export const createSimulatedCoordinator = (
  sim: Simulation,
  log: SimulatedLog,
  fleet: Fleet,
  hosts: readonly SimulatedHost[],
  options: { name: string; killChance: number; lookEveryMs: number; hasCopy: boolean } & CoordinatorMutations,
): SimulatedCoordinator => {
  const { random, time } = sim;
  const { name, killChance, lookEveryMs, hasCopy, appendsAgainBlindly } = options;
  /** It is on the coordinator's disk. */
  const copy = createSimulatedCopy(log.events(), appendsAgainBlindly);
  /** What the log begins with can't be lost: it is folded once for all. */
  const beginning = log.stateAt(log.last);
  let life: object | undefined;

  const start = (): void => {
    if (life) return;
    const born = {};
    life = born;
    sim.trace?.(`${name}: starts`);
    const isAlive = () => life === born;
    if (!hasCopy) copy.forgetAll();
    const startedAt = time.now;
    const openSince = createOpenSince();
    const unknownSince = new Map<string, number>();
    const presences = new Map<string, Presence>();
    const remadeAt = new Map<string, number>();
    /** The hosts whose durable may stand anywhere since the log was cut. */
    const adrift = new Set<string>();
    let generation: number | undefined;
    let state = beginning;
    let hasConnected = false;
    /** The last events that it has folded, as in `eventlog/stream/follow-stream.ts`: the log has to hold them still. */
    const handed: LoggedEvent[] = [];
    let caughtUpWith = 0;
    let deciding = false;

    const isConnected = () => generation === log.generation && log.isUp;
    const dies = (where: string) => {
      if (!sim.faulty || !random.chance(killChance)) return false;
      sim.killedAt.set(where, (sim.killedAt.get(where) ?? 0) + 1);
      sim.trace?.(`${name}: at "${where}"`);
      coordinatorOf.kill(random.pick([10, 1_000, 30_000]));
      return true;
    };

    /** One append; `told` gets the sequence, or undefined if nothing was appended or the answer was lost. */
    const append = (
      subject: string,
      bytes: Uint8Array,
      expectedLast: number | undefined,
      told: (sequence: number | undefined) => void,
    ): void => {
      if (dies('before append')) return;
      const mine = generation;
      const isLost = () => generation !== mine || !isConnected();
      const lost = () => {
        if (isAlive()) told(undefined);
      };
      time.after(random.between(1, 20), () => {
        if (isLost()) return time.after(5_000, lost);
        const answer = log.append(subject, bytes, expectedLast);
        if (answer.outcome !== 'appended') sim.trace?.(`${name}: ${subject}: ${answer.outcome}`);
        const isSwallowed = sim.faulty && random.chance(0.05);
        time.after(random.between(1, 20), () => {
          if (!isAlive()) return;
          if (isSwallowed || isLost()) return time.after(5_000, lost);
          if (dies('after append')) return;
          told(answer.outcome === 'appended' ? answer.sequence : undefined);
        });
      });
    };

    const lateCommands = (): Command[] => {
      if (openAttempts(state).length === 0) return [];
      return overdue(state, {
        now: time.now,
        fleet,
        lastSeen: (host) => presences.get(host)?.at ?? startedAt,
        openSince: openSince(state, time.now),
      });
    };

    const decideNext = (left: Command[]): void => {
      const command = left.shift();
      if (!command) {
        deciding = false;
        return;
      }
      const [event] = command.do === 'Advance' ? advance(state) : decide(command, state);
      if (!event) {
        decideNext(left);
        return;
      }
      if ('reason' in command) sim.trace?.(`${name}: ${command.do}, ${command.reason.code}`);
      const sealed = sealEvent(
        event,
        { fleet: fleet.fleet, name: coordinator, key: noKey },
        state.writers.get(coordinator),
        new Date(sim.wallClock()).toISOString(),
      );
      append(sealed.subject, sealed.bytes, state.sequence, (sequence) => {
        if (sequence === undefined) {
          decideNext(left);
          return;
        }
        caughtUpWith = sequence; // it comes back by the log, and then the rest is decided
        deciding = false;
        follow();
      });
    };

    /** One decision at a time, made of a state that holds all that this coordinator has appended. */
    const decideOn = (looksAtClock = false): void => {
      if (deciding || !isConnected() || state.sequence < caughtUpWith) return;
      const again = copy.next(state, time.now);
      if (again.do === 'wait') return;
      deciding = true;
      if (again.do === 'decide') decideNext([...(looksAtClock ? lateCommands() : []), { do: 'Advance' }]);
      else
        append(again.event.subject, again.event.bytes, state.sequence, (sequence) => {
          caughtUpWith = sequence ?? caughtUpWith;
          deciding = false;
          follow();
        });
    };

    const readOn = (): void => {
      if (!isAlive() || !isConnected()) return;
      for (let sequence = state.sequence + 1; sequence <= log.last; sequence += 1) {
        const logged = log.at(sequence) as LoggedEvent;
        if (handed.push(logged) > comparedAtOnce) handed.shift();
        copy.keep(logged);
        // Where both folds are of the same events, the log's is as good.
        state = state === log.stateAt(sequence - 1) ? log.stateAt(sequence) : evolve(state, logged);
      }
      decideOn();
    };
    const follow = () => {
      const lag = sim.faulty && random.chance(0.1) ? random.below(10_000) : random.between(1, 30);
      time.after(lag, readOn);
    };

    const connect = (): void => {
      if (!isAlive() || !log.isUp || isConnected()) return;
      generation = log.generation;
      const isCut = handed.some(({ sequence, bytes }) => {
        const there = log.at(sequence);
        return !there || Buffer.compare(there.bytes, bytes) !== 0;
      });
      if (isCut) {
        sim.trace?.(`${name}: the log was cut`);
        state = beginning;
        handed.length = 0;
        for (const host of hosts) adrift.add(host.name);
      }
      if ((isCut || !hasConnected) && log.cuts > 0) copy.compare(log.events());
      hasConnected = true;
      caughtUpWith = log.last;
      follow();
    };

    /** After `coordinator/daemon/tend-consumers.ts`: from which sequence on a host's durable has to hand over again. */
    const remakeOf = (host: string): number | undefined => {
      const seen = presences.get(host);
      const position = log.positionOf(host);
      if (adrift.has(host)) return 1;
      if (position === undefined) return seen && (seen.position > state.sequence ? 1 : seen.position + 1);
      if (position > log.last) return 1;
      return openAttempts(state).find(({ name: attempt, host: asked }) => {
        if (asked !== host || !seen || seen.unsent > 0 || seen.open.includes(attempt)) {
          unknownSince.delete(attempt);
          return false;
        }
        const since = unknownSince.get(attempt) ?? time.now;
        unknownSince.set(attempt, since);
        return seen.at >= since + 5_000 && time.now >= (remadeAt.get(host) ?? 0) + 30_000;
      })?.sequence;
    };
    const tend = (): void => {
      for (const host of hosts) {
        const from = remakeOf(host.name);
        if (from === undefined) continue;
        adrift.delete(host.name);
        remadeAt.set(host.name, time.now);
        log.makeDurable(host.name, from);
      }
    };

    const look = (): void => {
      if (!isAlive()) return;
      if (isConnected()) {
        for (const host of hosts) {
          const presence = host.presence();
          if (presence) presences.set(host.name, presence);
        }
        if (state.sequence >= caughtUpWith) {
          decideOn(true);
          tend();
        }
      }
      time.after(lookEveryMs, look);
    };
    onAppended = () => {
      if (isConnected()) follow();
    };
    onReconnect = () => time.after(sim.faulty ? random.pick([20, 3_000, 29_000]) : 20, connect);
    connect();
    look();
  };

  let onAppended: () => void = () => undefined;
  let onReconnect: () => void = () => undefined;
  log.onAppended(() => {
    if (life) onAppended();
  });
  const coordinatorOf: SimulatedCoordinator = {
    start,
    kill(downMs) {
      if (!life) return;
      life = undefined;
      sim.trace?.(`${name}: is killed`);
      time.after(downMs, start);
    },
    reconnect() {
      if (life) onReconnect();
    },
  };
  return coordinatorOf;
};
