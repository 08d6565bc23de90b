import type { Journal } from '../../agents/runtime/journal/journal.ts';
import type { OutboxEvent } from '../../agents/runtime/journal/own-events.ts';
import type { NotedRequest } from '../../agents/runtime/journal/requests.ts';
import { startsOf } from '../../agents/runtime/own-log.ts';
import type { LoggedEvent } from '../../eventlog/signing/check-event.ts';
import { linkTo, sealEvent } from '../../eventlog/signing/seal.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import { formatAttempt } from '../../schemas/attempt-id.ts';
import { type NewEvent, noIteration } from '../../schemas/events.ts';
import type { Role } from '../../schemas/step-names.ts';
import type { SimulatedLog } from './simulated-log.ts';
import { killed, type Simulation } from './simulation.ts';
import type { World } from './world.ts';

/** Nobody looks at a signature in here: signing would take most of the time. */
export const noKey: WriterKey = { sign: () => '', publicKey: '' } as unknown as WriterKey;

/** One run of the agent's process, from its start to its kill. */
export interface Life {
  readonly number: number;
  /** Told when the one chain of promises has come to a pause: then the clock may go on. */
  park: () => void;
  /** Ends the pause early: the attempt that is running was superseded. */
  interrupt: ((reason: Error) => Promise<void>) | undefined;
  /** There may be something new in the journal. */
  wake: (() => Promise<void>) | undefined;
  running: { request: NotedRequest; abort: (reason: Error) => void } | undefined;
  /** The append that is under way. */
  sending: object | undefined;
}

export interface Presence {
  at: number;
  open: readonly string[];
  position: number;
  unsent: number;
}

export interface SimulatedHost {
  readonly name: string;
  readonly role: Role;
  readonly journal: Journal;
  readonly world: World;
  readonly life: Life | undefined;
  /** It is off, and stays off: a person has to look. */
  staysOff: boolean;
  /** @param wasUp its agent has said so already, before the schedule began. */
  start(wasUp?: boolean): Promise<void>;
  /** Kills the agent; it starts again after `downMs`. Without power its programs die too, and it boots anew. */
  kill(how: { downMs: number; power?: boolean; programsToo?: boolean }): void;
  /** Kills the agent here, perhaps. @throws {killed} if it does. */
  boundary(name: string): void;
  goOffline(ms: number): void;
  /** The server is up again. */
  reconnect(): void;
  presence(): Presence | undefined;
  /** Journals an own event, with the end of the request that it answers, and sends it when it can. */
  put(event: NewEvent, answers?: NotedRequest): void;
  /** Lets that much time pass within a step. Rejects if the attempt is superseded meanwhile and can be stopped. */
  pause(life: Life, ms: number, stoppable: boolean): Promise<void>;
  /** Goes on with the step, and gives the moment at which it pauses again. */
  resume(life: Life, on: () => void): Promise<void>;
}

export interface HostMutations {
  /** At a new connection nobody looks whether the log still has what it had. */
  neverLooksBack: boolean;
}

/**
 * A host and its agent, after `agents/runtime/{agent,outbox,request-loop}.ts`. `work` is its work loop.
 * @param killChance how likely a boundary kills it while things go wrong.
 */
export const createSimulatedHost = (
  sim: Simulation,
  log: SimulatedLog,
  known: { name: string; role: Role; fleet: string; journal: Journal; world: World },
  killChance: number,
  mutations: HostMutations,
  work: (host: SimulatedHost, life: Life) => Promise<void>,
): SimulatedHost => {
  const { random, time } = sim;
  const { name, role, journal, world, fleet } = known;
  let life: Life | undefined;
  let lives = 0;
  let online = true;
  let connection: { generation: number } | undefined;

  /** Runs what the process does at this moment; a kill within it ends the process, not the simulation. */
  const asProcess = (of: Life, what: () => void | Promise<void>): void | Promise<void> => {
    if (life !== of) return;
    try {
      return what();
    } catch (error) {
      if (error !== killed) throw error;
    }
  };

  const isOpen = (mine: { generation: number }) =>
    mine === connection && online && log.isUp && mine.generation === log.generation;

  /** As `outbox.drain`: in order, one at a time, marked once the log has answered. */
  const drain = (of: Life): void => {
    const mine = connection;
    const event = journal.outbox.nextUnsent();
    if (of.sending || !mine || !event) return;
    const sending = {};
    of.sending = sending;
    const again = () => {
      if (life !== of || of.sending !== sending) return;
      of.sending = undefined;
      drain(of);
    };
    time.after(random.between(1, 30), () => {
      if (!isOpen(mine)) return time.after(5_000, again);
      const answer = log.append(event.subject, event.bytes);
      if (answer.outcome === 'conflict')
        sim.breaks('no outcome is lost', `${name}: ${event.subject} holds another fact`);
      // The event is in the log, and its writer may never hear of it.
      const isLost = sim.faulty && random.chance(0.05);
      time.after(random.between(1, 30), () => {
        if (isLost || !isOpen(mine)) return time.after(5_000, again);
        return asProcess(of, () => {
          if (of.sending !== sending) return;
          host.boundary('sent');
          journal.outbox.markSent(event.seq, answer.outcome === 'appended' ? answer.sequence : undefined);
          of.sending = undefined;
          drain(of);
        });
      });
    });
  };

  /** As `note` in the request loop: into the journal, then acked. */
  const receive = (of: Life, logged: LoggedEvent): void | Promise<void> =>
    asProcess(of, () => {
      const { event, sequence, bytes } = logged;
      if (event.kind !== 'step') return;
      const { iteration, step, attempt } = event;
      const place = { sequence, signature: '' };
      sim.trace?.(`${name}: gets ${event.type}.${attempt}`);
      let done: void | Promise<void>;
      if (event.fact === 'Requested')
        journal.requests.note(
          { iteration, step, attempt, bytes, eventId: `${event.source}/${event.id}` },
          place,
        );
      else journal.requests.noteSuperseded({ iteration, step, attempt }, { ...place, bytes });
      host.boundary('request noted');
      if (!sim.faulty || !random.chance(0.03)) log.ack(name, sequence);
      host.boundary('request acked');
      const running = of.running?.request;
      if (
        event.fact === 'Superseded' &&
        running?.iteration === iteration &&
        running.step === step &&
        running.attempt === attempt
      ) {
        const reason = new Error('superseded');
        of.running?.abort(reason);
        done = of.interrupt?.(reason);
      } else done = of.wake?.();
      return done;
    });

  /** After `compare-with-log.ts`: what the log has lost is to be sent again, and what it has need not be. */
  const compareWithLog = (): void => {
    const isThere = ({ subject, bytes }: OutboxEvent) => {
      const there = log.under(subject);
      return there !== undefined && Buffer.compare(there.bytes, bytes) === 0 ? there.sequence : undefined;
    };
    for (const event of journal.outbox.list('unsent')) {
      const sequence = isThere(event);
      if (sequence !== undefined) journal.outbox.markSent(event.seq, sequence);
    }
    for (const event of journal.outbox.list('sent')) {
      if (isThere(event) !== undefined) continue;
      sim.trace?.(`${name}: the log has lost ${event.subject}`);
      journal.outbox.markUnsent(event.seq);
    }
    journal.marks.limitPosition(log.last);
  };

  const connect = (of: Life): void => {
    if (life !== of || !online || !log.isUp || connection?.generation === log.generation) return;
    connection = { generation: log.generation };
    of.sending = undefined;
    sim.trace?.(`${name}: is connected`);
    if (!mutations.neverLooksBack) compareWithLog();
    log.listen(name, (logged) => receive(of, logged));
    drain(of);
  };
  const connectSoon = (of: Life) =>
    time.after(sim.faulty ? random.pick([20, 500, 3_000, 29_000]) : 20, () => connect(of));

  const host: SimulatedHost = {
    name,
    role,
    journal,
    world,
    get life() {
      return life;
    },
    staysOff: false,
    async start(wasUp = false) {
      if (life || host.staysOff) return;
      lives += 1;
      const born: Life = {
        number: lives,
        park: () => undefined,
        interrupt: undefined,
        wake: undefined,
        running: undefined,
        sending: undefined,
      };
      life = born;
      connection = undefined;
      sim.trace?.(`${name}: starts`);
      const started = () => {
        if (wasUp) {
          connect(born);
          return host.resume(born, () => void work(host, born));
        }
        host.put({
          type: 'AgentStarted',
          iteration: noIteration,
          attempt: journal.outbox.highestOf(startsOf(fleet, name)) + 1,
          data: { role, version: '1', bootId: world.bootId, release: 'r', package: null },
        });
        const { wentBack } = world;
        if (wentBack && !wentBack.isTold) {
          const boot = { bootId: world.bootId, release: 'r', procVersion: 'Linux' };
          wentBack.isTold = true;
          host.put({
            type: 'DeadlinePassed',
            iteration: wentBack.iteration,
            attempt: wentBack.attempt,
            data: {
              because: 'nobody confirmed it',
              restored: true,
              version: '7.0-1',
              unconfirmed: boot,
              now: boot,
            },
          });
        }
        connectSoon(born);
        return host.resume(born, () => void work(host, born));
      };
      await asProcess(born, started);
    },
    kill({ downMs, power = false, programsToo = true }) {
      if (!life) return;
      life = undefined;
      connection = undefined;
      log.listen(name, undefined);
      sim.trace?.(
        `${name}: is killed${power ? ', without power' : programsToo ? '' : ', its programs live on'}`,
      );
      if (power) world.boot();
      else world.orphan(programsToo);
      time.after(downMs, () => host.start());
    },
    boundary(boundaryName) {
      if (!sim.faulty || !random.chance(killChance)) return;
      sim.killedAt.set(boundaryName, (sim.killedAt.get(boundaryName) ?? 0) + 1);
      sim.trace?.(`${name}: at "${boundaryName}"`);
      host.kill({ downMs: random.pick([10, 500, 5_000, 40_000]), programsToo: random.chance(0.7) });
      throw killed;
    },
    goOffline(ms) {
      if (!online) return;
      online = false;
      connection = undefined;
      log.listen(name, undefined);
      sim.trace?.(`${name}: is offline`);
      time.after(ms, () => {
        online = true;
        sim.trace?.(`${name}: is online`);
        host.reconnect();
      });
    },
    reconnect() {
      if (life) connectSoon(life);
    },
    presence() {
      if (!life || !connection || !isOpen(connection)) return undefined;
      const open = journal.requests.open().map(formatAttempt);
      return { at: time.now, open, position: journal.marks.position(), unsent: journal.outbox.unsent() };
    },
    put(event, answers) {
      const last = journal.outbox.last();
      const sealed = sealEvent(
        event,
        { fleet, name, key: noKey },
        last && linkTo(last.seq, last.bytes),
        new Date(sim.wallClock()).toISOString(),
      );
      journal.outbox.note(sealed, answers);
      sim.trace?.(`${name}: journals ${event.type}.${event.attempt}`);
      host.boundary('outcome journalled');
      if (life) drain(life);
    },
    pause: (of, ms, stoppable) =>
      new Promise((resolve, reject) => {
        let over = false;
        const go = (on: () => void): Promise<void> | undefined => {
          if (over || life !== of) return undefined;
          over = true;
          of.interrupt = undefined;
          return host.resume(of, on);
        };
        time.after(ms, () => go(resolve));
        of.interrupt = stoppable ? (reason) => go(() => reject(reason)) ?? Promise.resolve() : undefined;
        of.park();
      }),
    resume: (of, on) =>
      new Promise((parked) => {
        of.park = parked;
        on();
      }),
  };
  return host;
};
