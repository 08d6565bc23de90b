import type { Journal } from '../../agents/runtime/journal/journal.ts';
import type { OwnEvent } from '../../agents/runtime/journal/own-events.ts';
import { openAttempts } from '../../coordinator/daemon/time-limits.ts';
import { checkpointDue } from '../../coordinator/decider/checkpoint-due.ts';
import { decide } from '../../coordinator/decider/decide.ts';
import type { Attempt } from '../../coordinator/decider/state.ts';
import { waitsFor } from '../../coordinator/reading/progress.ts';
import { stations } from '../../coordinator/testing/history.ts';
import { beginAt, evidence, fleet, hostNames } from './beginning.ts';
import type { KeptJournal } from './kept-journal.ts';
import { createRandom } from './random.ts';
import { createSimulatedCoordinator, type SimulatedCoordinator } from './simulated-coordinator.ts';
import { createSimulatedHost, type SimulatedHost } from './simulated-host.ts';
import { createSimulatedLog, type SimulatedLog } from './simulated-log.ts';
import { createSimulatedPeople } from './simulated-people.ts';
import { simulatedSteps } from './simulated-steps.ts';
import type { Broken, Simulation } from './simulation.ts';
import { createVirtualTime } from './virtual-time.ts';
import { createWorld } from './world.ts';

/*
 * A schedule is one way in which a fleet may live through an iteration. It depends only on a seed: time is virtual and
 * random numbers follow from the seed, so a seed gives the same schedule each time. Real: the coordinator
 * (coordinator/daemon/daemon.ts: its decisions, its appends, its copy of the log and the repetition of lost events, its
 * care for the durables, its stopwatch, its checkpoints); the agent's loops (agents/runtime/host-loops.ts: its start,
 * the request loop, the work loop, the outbox, the comparison with the log) over a real journal in memory, the effect
 * protocol with its boundaries, and the watch of a board's own deadline; decide and evolve; how events are sealed,
 * signed, linked and appended. Modelled after the real code, which each names in its comment: the following of the log;
 * the command line. Invented: the world, in which each effect takes time and is counted; the network; the log with its
 * power losses and its durable consumers; the board's way back after a deadline; people. Signatures are made, but a
 * host only checks those of checkpoints. NATS, disks, restored logs and lost journals are not simulated: other tests
 * cover them. Faults: a process is killed at any boundary, or at any time, alone or with its programs or with the
 * power; a message comes late, twice, or after later ones; an ack or an answer is lost; a host, or the server, is away;
 * the log loses its tail, a durable is gone; the wall clock jumps; steps fail; there are two coordinators; people
 * answer late or never. After a while the faults stop, except that a person or a board may stay away. Then everything
 * has to come to its end.
 */

export interface Ran {
  broken: Broken | undefined;
  killedAt: ReadonlyMap<string, number>;
  /** How it ended: `closed`, `failed`, `aborted` or `waits`. */
  ended: string;
  trace: readonly string[];
}

const minute = 60_000;
/** Later beginnings are more frequent: their schedules are short, and as many faults fit into them. */
const beginnings = [...stations, ...stations.slice(4), ...stations.slice(6)];
const startOfTime = Date.UTC(2026, 4, 11);

/** Plans the faults from outside. @returns when the last of them happens. */
const planFaults = (
  sim: Simulation,
  log: SimulatedLog,
  hosts: readonly SimulatedHost[],
  coordinators: readonly SimulatedCoordinator[],
  faultyMs: number,
): number => {
  const { random, time } = sim;
  const reconnect = () => {
    for (const one of [...hosts, ...coordinators]) one.reconnect();
  };
  const restartLog = (losesPower: boolean) => {
    if (!log.isUp) return;
    sim.trace?.(`log: ${losesPower ? 'loses power' : 'is killed'}`);
    if (losesPower) log.losePower(time.now - random.between(1_000, 2 * minute));
    else log.stop();
    for (const one of [...hosts, ...coordinators]) one.disconnect();
    time.after(random.pick([200, 5_000, 90_000]), () => {
      sim.trace?.('log: is up');
      log.start();
      reconnect();
    });
  };
  const faults: (() => void)[] = [
    () => restartLog(false),
    () => restartLog(true),
    () => restartLog(true),
    () => random.pick(hosts).goOffline(random.pick([2_000, 40_000, 150_000])),
    () => random.pick(hosts).goOffline(random.pick([2_000, 40_000, 150_000])),
    () =>
      random
        .pick(hosts)
        .kill({ downMs: random.pick([100, 10_000, 150_000]), programsToo: random.chance(0.5) }),
    () => random.pick(hosts).kill({ downMs: random.pick([5_000, 60_000, 150_000]), power: true }),
    () => random.pick(coordinators).kill(random.pick([100, 10_000, 90_000])),
    () => log.removeDurable(random.pick(hosts).name),
  ];
  let last = 0;
  for (let left = random.below(6); left > 0; left -= 1) {
    const at = random.below(faultyMs);
    last = Math.max(last, at);
    time.after(at, () => {
      if (sim.faulty) random.pick(faults)();
    });
  }
  return last;
};

/**
 * Whether the log differs from the one that this host was shown, so that the host waits for a person to restore it:
 * after a cut, lost events may be back in another order than they were signed in. This compares the log itself, since
 * the host's own report is not enough.
 */
const waitsForRestore = (log: SimulatedLog, { journal: { checkpoints } }: SimulatedHost): boolean => {
  const known = checkpoints.fork() && checkpoints.last();
  return known !== undefined && log.rootOver(known.size) !== known.root;
};

/** Whether nothing more will happen: everything is decided, sent and done, or waits for a person or a host. */
const isQuiet = (
  log: SimulatedLog,
  hosts: readonly SimulatedHost[],
  silent: ReadonlySet<string>,
): boolean => {
  const state = log.stateAt(log.last);
  if (!log.isUp || decide({ do: 'Advance' }, state).length > 0 || checkpointDue(state).length > 0)
    return false;
  for (const iteration of state.iterations.values()) {
    if (iteration.ended || iteration.lost) continue;
    const waits = waitsFor(iteration, state);
    if (![...silent].some((person) => waits.includes(`the review of ${person}`))) return false;
  }
  return hosts.every(
    (host) =>
      host.staysOff ||
      waitsForRestore(log, host) ||
      (host.isInStep() &&
        host.journal.outbox.unsent() === 0 &&
        !host.journal.requests.next() &&
        openAttempts(state).every(({ attempt }) => attempt.host !== host.name)),
  );
};

/** All own events, oldest first. */
const ownEvents = ({ outbox }: Journal): (OwnEvent & { isSent: boolean })[] =>
  (['sent', 'unsent'] as const)
    .flatMap((which) => outbox.list(which).map((event) => ({ ...event, isSent: which === 'sent' })))
    .sort((a, b) => a.seq - b.seq);

const checkOutcomes = (sim: Simulation, log: SimulatedLog, host: SimulatedHost, began: number): void => {
  let before = 0;
  for (const { seq, subject, bytes, isSent } of ownEvents(host.journal)) {
    if (seq <= began) continue;
    const there = log.under(subject);
    const lost = (how: string) => sim.breaks('no outcome is lost', `${subject} ${how}`);
    if (!there) lost('is not in the log');
    else if (Buffer.compare(there.bytes, bytes) !== 0) lost('is in the log with other bytes');
    else if (there.sequence < before) lost('is in the log before what was written before it');
    else if (!isSent) lost('is not marked as sent');
    else {
      before = there.sequence;
      const { event } = there;
      if (event.kind !== 'step') continue;
      const attempts = log.stateAt(log.last).iterations.get(event.iteration)?.attempts[
        event.step
      ] as Attempt[];
      const attempt = attempts.find(
        ({ number, host: asked }) => number === event.attempt && asked === host.name,
      );
      if (attempt?.status === 'open') lost('counts for nothing: its attempt is still open');
    }
  }
};

/** Runs the schedule of a seed. The same seed gives the same schedule, to the last line of its trace. */
export const runSchedule = async (seed: number, options: { traced?: boolean } = {}): Promise<Ran> => {
  const random = createRandom(seed);
  const time = createVirtualTime();
  const trace: string[] = [];
  let clockIsOff = 0;
  const sim: Simulation = {
    random,
    time,
    faulty: true,
    serverClock: () => startOfTime + time.now,
    wallClock: () => startOfTime + clockIsOff + time.now,
    broken: undefined,
    breaks(property, how) {
      sim.broken ??= { property, how };
      sim.trace?.(`BROKEN: ${property}: ${how}`);
    },
    killedAt: new Map(),
    trace: options.traced
      ? (line) => trace.push(`${(time.now / 1000).toFixed(3).padStart(9)} ${line}`)
      : undefined,
  };
  const station = random.pick(beginnings);
  const beginning = beginAt(station);
  sim.trace?.(`seed ${seed}, begins at ${station}`);
  for (const { begin } of beginning.journals.values()) begin();
  const log = createSimulatedLog(sim, beginning, hostNames);
  const killChance = random.pick([0, 0.02, 0.05, 0.15]);
  /** The last own event of each host at the beginning. */
  const began = new Map<string, number>();
  const hosts = hostNames.map((name) => {
    const { role } = fleet.hosts[name] as (typeof fleet.hosts)[string];
    const kept = beginning.journals.get(name) as KeptJournal;
    began.set(name, kept.journal.outbox.last()?.seq ?? 0);
    return createSimulatedHost(sim, log, {
      name,
      role,
      fleet,
      kept,
      world: createWorld(sim, name),
      killChance,
      steps: (host) => simulatedSteps(sim, host, evidence),
    });
  });
  const lookEveryMs = random.pick([5_000, 10_000, 30_000]);
  const coordinators = ['coordinator', ...(random.chance(0.25) ? ['other coordinator'] : [])].map((name) =>
    createSimulatedCoordinator(sim, log, {
      name,
      fleet,
      hosts,
      killChance,
      lookEveryMs,
      keepsCopy: !random.chance(0.1),
    }),
  );
  const people = createSimulatedPeople(sim, log, fleet, createRandom(seed + 0x1000_0000));
  const faultyMs = random.pick([0.5, 1.5, 3, 6]) * minute;
  let lastFaultAt = planFaults(sim, log, hosts, coordinators, faultyMs);
  /** Plans a fault that happens once. */
  const once = (what: () => void) => {
    const at = random.below(faultyMs);
    lastFaultAt = Math.max(lastFaultAt, at);
    time.after(at, what);
  };
  if (random.chance(0.2))
    once(() => {
      clockIsOff = random.pick([-3, 3]) * 365 * 24 * 60 * minute;
      sim.trace?.('the wall clock jumps by three years');
    });
  const staysOff = random.chance(0.06) ? random.pick(hosts) : undefined;
  if (staysOff)
    once(() => {
      staysOff.staysOff = true;
      staysOff.kill({ downMs: 1 });
    });
  time.after(faultyMs, () => {
    sim.faulty = false;
    sim.trace?.('from now on all is well');
  });
  for (const host of hosts) time.after(random.below(2_000), host.start);
  for (const one of coordinators) time.after(random.below(5_000), one.start);

  let isOver = false;
  const look = () => {
    // A fleet that is quiet after the faults have stopped stays quiet, unless a planned event still follows.
    const isLast = !sim.faulty || (time.now > lastFaultAt && people.areContent());
    isOver = isLast && isQuiet(log, hosts, people.silent);
    if (!isOver) time.after(20_000, look);
  };
  look();
  try {
    await time.run(faultyMs + 6 * 60 * minute, () => isOver || sim.broken !== undefined);
  } catch (error) {
    sim.breaks(
      'the code under test does not throw',
      error instanceof Error ? `${error.stack}` : String(error),
    );
  }
  const iterations = [...log.stateAt(log.last).iterations.values()];
  if (!sim.broken) {
    for (const host of hosts)
      if (!host.staysOff && !waitsForRestore(log, host))
        checkOutcomes(sim, log, host, began.get(host.name) ?? 0);
    if (!isOver)
      sim.breaks(
        'an iteration ends, or waits for a named person or host',
        iterations
          .map(
            (iteration) =>
              `${iteration.name} waits for ${waitsFor(iteration, log.stateAt(log.last)) || 'nothing'}`,
          )
          .join('; '),
      );
  }
  for (const { undo } of beginning.journals.values()) undo();
  return {
    broken: sim.broken,
    killedAt: sim.killedAt,
    ended: iterations.map(({ ended, lost }) => ended?.status ?? (lost ? 'lost' : 'waits')).join(),
    trace,
  };
};
