import Database from 'better-sqlite3';
import { runCoordinator } from '../../coordinator/daemon/daemon.ts';
import { LogCopy } from '../../coordinator/daemon/log-copy.ts';
import type { Clock, CoordinatorLog, CoordinatorPorts, Durables } from '../../coordinator/daemon/ports.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { comparedAtOnce, type Handed } from '../../eventlog/stream/follow-stream.ts';
import { deliverKnown } from '../../eventlog/stream/known-messages.ts';
import { coordinator } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import { sha256 } from '../../schemas/hash.ts';
import { type Connection, createConnection } from './connection.ts';
import { clockOf, createLife, type Life } from './life.ts';
import { readEvent } from './read-event.ts';
import type { SimulatedHost } from './simulated-host.ts';
import { kept, type SimulatedLog } from './simulated-log.ts';
import { killed, type Simulation } from './simulation.ts';
import { writerAt } from './writer-at.ts';

export interface SimulatedCoordinator {
  start(): void;
  kill(downMs: number): void;
  /** The server goes down, or comes up again. */
  disconnect(): void;
  reconnect(): void;
}

export interface CoordinatorParts {
  name: string;
  fleet: Fleet;
  hosts: readonly SimulatedHost[];
  /** The probability that a boundary kills it while there are faults. */
  killChance: number;
  /** How often it looks at clocks, on a busy machine. */
  lookEveryMs: number;
  /** Whether its copy of the log is on a disk and survives its process. */
  keepsCopy: boolean;
}

/** One run of a coordinator, with its clock and connection. */
interface Process {
  life: Life;
  clock: ReturnType<typeof clockOf>;
  connection: Connection;
  /** A place at which its process may be killed. @returns whether it was. */
  diesAt(what: string): boolean;
  isRunning: boolean;
}

const againAfterMs = 500;

const forEver = () => new Promise<never>(() => undefined);

/** The answer to a question, unless the process is killed while it waits. */
const asking =
  ({ connection, diesAt }: Process) =>
  async <Answer>(atServer: () => Answer, changes = false): Promise<Answer> => {
    const answer = await connection.ask(atServer, changes);
    return diesAt('answer') ? forEver() : answer;
  };

/** A clock that stands still while the connection is lost. */
const standingClock = (sim: Simulation, process: Process, lookEveryMs: number): Clock => {
  const { connection, clock, life } = process;
  let lost = 0;
  let losses = 0;
  let stoodSince: number | undefined;
  connection.onChange(() => {
    if (!connection.isOpen()) {
      losses += 1;
      stoodSince ??= sim.time.now;
    } else if (stoodSince !== undefined) {
      lost += sim.time.now - stoodSince;
      stoodSince = undefined;
    }
  });
  return {
    now: () => (stoodSince ?? sim.time.now) - lost,
    wallClock: sim.wallClock,
    runs: () => life.isAlive() && stoodSince === undefined,
    losses: () => losses,
    every: (ms, call) => clock.every(Math.max(ms, lookEveryMs), call),
    sleep: (ms) => clock.pause(ms),
    stop: () => undefined,
  };
};

/** Delivers the log like `EventLog.follow`. Signatures are not checked: nothing here forges a message. */
const following = (
  sim: Simulation,
  server: SimulatedLog,
  process: Process,
): { follow: CoordinatorLog['follow']; wake: () => void } => {
  const { connection, clock, life } = process;
  const ask = asking(process);
  let wake: () => void = () => undefined;
  connection.onChange(() => wake());
  const somethingNew = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  const isHeld = (handed: readonly Handed[]) =>
    handed.every(({ sequence, hash }) => {
      const there = server.at(sequence);
      return there !== undefined && sha256(there.bytes) === hash;
    });
  /** No message is forged here. An event that the log holds was read before. */
  const verifier = {
    verify: (message: KeptMessage) => {
      const there = server.at(message.sequence);
      const event = there && Buffer.compare(there.bytes, message.bytes) === 0 ? there.event : undefined;
      return { logged: { ...message, event: event ?? readEvent(message.bytes) }, faults: [] };
    },
    pass: () => undefined,
  };
  return {
    wake: () => {
      wake();
      sim.time.settles();
    },
    async follow({ known, onMessage, onCut, onHeld, onTrouble }, onEvent) {
      const handed = await deliverKnown(known(), verifier, async (_message, verified) => {
        if (verified && 'logged' in verified) onEvent(verified.logged);
      });
      if (!handed) throw new Error('the copy is damaged');
      let next = (handed.at(-1)?.sequence ?? 0) + 1;
      for (;;) {
        const mine = connection.session();
        if (!mine || !connection.isOpen(mine)) {
          await somethingNew();
          continue;
        }
        try {
          if (await ask(() => isHeld(handed))) onHeld();
          else {
            const last = await ask(() => server.last);
            next = 1;
            handed.length = 0;
            onCut(last, 'cut');
          }
        } catch (error) {
          onTrouble(error);
          await clock.pause(againAfterMs);
          continue;
        }
        while (connection.isOpen(mine)) {
          const logged = server.at(next);
          if (!logged) {
            await somethingNew();
            await clock.pause(
              sim.faulty && sim.random.chance(0.1) ? sim.random.below(10_000) : sim.random.between(1, 30),
            );
            continue;
          }
          next += 1;
          if (handed.push({ sequence: logged.sequence, hash: sha256(logged.bytes) }) > comparedAtOnce)
            handed.shift();
          onMessage(kept(logged), 0);
          onEvent(logged);
          await undefined; // a decision may be made between two messages
          if (!life.isAlive()) await forEver();
        }
      }
    },
  };
};

const durablesOf = (server: SimulatedLog, process: Process): Durables => {
  const ask = asking(process);
  return {
    position: (host) => ask(() => server.positionOf(host)),
    nextFor: (host, after) => ask(() => server.nextFor(host, after)),
    remake: (host, from) => ask(() => server.makeDurable(host, from), true),
    explain: async (error) => error,
  };
};

/** A coordinator: the real one, over a simulated log, clock and world. */
export const createSimulatedCoordinator = (
  sim: Simulation,
  server: SimulatedLog,
  { name, fleet, hosts, killChance, lookEveryMs, keepsCopy }: CoordinatorParts,
): SimulatedCoordinator => {
  const { random, time } = sim;
  let disk = new Database(':memory:');
  let process: Process | undefined;
  let wake: () => void = () => undefined;
  server.onAppended(() => {
    if (process) wake();
  });

  const portsOf = (of: Process): CoordinatorPorts => {
    const { life, connection, clock } = of;
    const ask = asking(of);
    const following_ = following(sim, server, of);
    wake = following_.wake;
    const { putBlob, holdsBlob, append } = writerAt(server, ask, coordinator);
    return {
      log: {
        lastSequence: () => ask(() => server.last),
        follow: following_.follow,
        append,
        holdsBlob,
        putBlob,
        serverTime: () => ask(() => new Date(sim.serverClock())),
        hear: (onPresence) =>
          clock.every(lookEveryMs, () => {
            if (!connection.isOpen()) return;
            for (const host of hosts) {
              const presence = host.presence();
              if (presence) onPresence(presence);
            }
          }),
        isClosed: () => !life.isAlive(),
      },
      durables: durablesOf(server, of),
      clock: standingClock(sim, of, lookEveryMs),
      say: (text) => {
        if (life.isAlive()) sim.trace?.(`${name}: says ${text}`);
      },
      failpoint: (point) => {
        // `before BuildRequested`: the first word is the place.
        if (!life.isAlive() || of.diesAt(`${point.slice(0, point.indexOf(' '))} append`)) throw killed;
      },
    };
  };

  const run = (of: Process): void => {
    if (of.isRunning) return;
    of.isRunning = true;
    sim.trace?.(`${name}: starts`);
    const { life, clock } = of;
    if (!keepsCopy) {
      disk.close();
      disk = new Database(':memory:');
    }
    const broken = (how: unknown) => {
      if (life.isAlive())
        sim.breaks(
          'the code under test does not throw',
          `${name}: ${how instanceof Error ? how.stack : how}`,
        );
    };
    runCoordinator({
      ports: portsOf(of),
      fleet,
      key: testKey(coordinator),
      copy: new LogCopy(disk, '', broken, clock.after),
      signal: new AbortController().signal,
    }).then(() => broken('it has ended'), broken);
    time.settles();
  };
  const connectSoon = (of: Process) =>
    time.after(sim.faulty ? random.pick([20, 3_000, 29_000]) : 20, () => {
      if (process !== of || !server.isUp || of.connection.isOpen()) return;
      of.connection.connect();
      run(of);
    });

  const self: SimulatedCoordinator = {
    start() {
      if (process) return;
      const life = createLife();
      const diesAt = (what: string) => {
        const chance = what === 'answer' ? killChance / 10 : killChance;
        if (!sim.faulty || !random.chance(chance)) return false;
        sim.killedAt.set(what, (sim.killedAt.get(what) ?? 0) + 1);
        sim.trace?.(`${name}: at "${what}"`);
        self.kill(random.pick([10, 1_000, 30_000]));
        return true;
      };
      const connection = createConnection(sim, server, life);
      process = { life, clock: clockOf(sim, life), connection, diesAt, isRunning: false };
      connectSoon(process);
    },
    kill(downMs) {
      if (!process) return;
      process.life.end();
      process = undefined;
      // Uncommitted data is not on the disk.
      if (disk.inTransaction) disk.exec('ROLLBACK');
      sim.trace?.(`${name}: is killed`);
      time.after(downMs, self.start);
    },
    disconnect: () => process?.connection.lose(),
    reconnect() {
      if (process) connectSoon(process);
    },
  };
  return self;
};
