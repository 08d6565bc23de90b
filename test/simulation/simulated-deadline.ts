import { ended, isDone, isOf } from '../../agents/board/deadline/deadline.ts';
import type { KeptFile } from '../../agents/board/deadline/kept-file.ts';
import { watchDeadline } from '../../agents/board/deadline/watch-deadline.ts';
import type { WatchedBoard } from '../../agents/board/deadline/watched-board.ts';
import type { Boot } from '../../schemas/boot.ts';
import type { NewEvent } from '../../schemas/events.ts';
import { clockOf, createLife, type Life } from './life.ts';
import { killed, type Simulation } from './simulation.ts';
import type { World } from './world.ts';

/** A board's own deadline: a daemon beside the agent that needs neither the agent nor the log. */
export interface SimulatedDeadline {
  /** Starts its process, if it does not run. */
  start(): void;
  kill(): void;
}

/** The board's present boot. */
export const bootOf = ({ bootId }: World): Boot => ({ bootId, release: 'r', procVersion: 'Linux' });

/** The event of a board's agent about a deadline that has passed, once it is done. */
export const deadlinePassed = (world: World): NewEvent | undefined => {
  const { fired, report } = world;
  if (!fired || !report || !isOf(report, fired) || !isDone(report, world.bootId)) return undefined;
  const over = report.overIn ? report : ended(report, bootOf(world));
  world.report = over;
  const { because, unconfirmed, overIn = bootOf(world), restored } = over;
  return {
    type: 'DeadlinePassed',
    iteration: fired.iteration,
    attempt: fired.attempt,
    data: { because, restored: restored === true, version: fired.backup.version, unconfirmed, now: overIn },
  };
};

/** The real watch, over a simulated board. @param host `killChance` is the probability that a write ends it. */
export const createSimulatedDeadline = (
  sim: Simulation,
  host: { name: string; world: World; killChance: number; reboot: () => void },
): SimulatedDeadline => {
  const { random, time } = sim;
  const { name, world, killChance, reboot } = host;
  let life: Life | undefined;

  const boardOf = ({ isAlive }: Life): WatchedBoard => {
    const written = (what: string) => {
      if (!isAlive()) throw killed;
      if (!sim.faulty || !random.chance(killChance)) return;
      sim.killedAt.set('deadline', (sim.killedAt.get('deadline') ?? 0) + 1);
      sim.trace?.(`${name}: its deadline at "${what}"`);
      deadline.kill();
      time.after(random.pick([100, 5_000]), deadline.start);
      throw killed;
    };
    const kept = <Value>(
      what: string,
      read: () => Value | undefined,
      keep: (value: Value) => void,
    ): KeptFile<Value> => ({
      read: async () => read(),
      async write(value) {
        if (isAlive()) keep(value);
        written(what);
      },
    });
    return {
      armed: async () => world.deadline,
      fired: async () => world.fired,
      async fire() {
        const { deadline: armed } = world;
        if (!armed || !isAlive()) return false;
        world.deadline = undefined;
        world.fired = armed;
        sim.trace?.(`${name}: the board's own deadline has gone off`);
        written('fired');
        return true;
      },
      seen: kept(
        'seen',
        () => world.seen,
        (value) => {
          world.seen = value;
        },
      ),
      report: kept(
        'report',
        () => world.report,
        (value) => {
          world.report = value;
        },
      ),
      boot: async () => bootOf(world),
      runsInstalled: async () => true,
      runsOther: async () => false,
      networkFault: async () => undefined,
      quiet: async () => undefined,
      tellLoader: async () => undefined,
      bootsHeld: async () => false,
      async putBack(of) {
        await clockOf(sim, { isAlive, end: () => undefined }).pause(random.pick([500, 5_000, 20_000]));
        const isThere = world.isBackTo === of;
        world.isBackTo = of;
        if (!isThere) sim.trace?.(`${name}: the board is put back`);
        written('put back');
        return !isThere;
      },
      clear: async () => undefined,
      async askForReboot() {
        reboot();
      },
    };
  };

  const deadline: SimulatedDeadline = {
    start() {
      if (life) return;
      const born = createLife();
      life = born;
      const watching = watchDeadline({
        board: boardOf(born),
        clock: clockOf(sim, born),
        note: (line) => {
          if (born.isAlive()) sim.trace?.(`${name}: its deadline: ${line}`);
        },
        signal: new AbortController().signal,
        everyMs: 5_000,
        pauseMs: 30_000,
        rebootWithinMs: 5 * 60_000,
      });
      watching.catch((error: unknown) => {
        if (born.isAlive()) sim.breaks('the code under test does not throw', `${name}'s deadline: ${error}`);
      });
      time.settles();
    },
    kill() {
      life?.end();
      life = undefined;
    },
  };
  return deadline;
};
