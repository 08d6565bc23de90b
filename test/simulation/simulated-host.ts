import { createHostLoops, type HostLoops } from '../../agents/runtime/host-loops.ts';
import { Journal } from '../../agents/runtime/journal/journal.ts';
import type { CheckMessage, Workplace } from '../../agents/runtime/ports.ts';
import type { StepTable } from '../../agents/runtime/run-step.ts';
import { createTrouble } from '../../agents/runtime/trouble.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import type { Presence } from '../../eventlog/live/presence.ts';
import { type Trust, trustNow } from '../../eventlog/signing/trust.ts';
import { formatAttempt } from '../../schemas/attempt-id.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { Role } from '../../schemas/step-names.ts';
import { createHostConnection, type HostConnection } from './host-connection.ts';
import type { KeptJournal } from './kept-journal.ts';
import { clockOf, createLife, databaseOf, type Life } from './life.ts';
import { readEvent } from './read-event.ts';
import { createSimulatedDeadline, deadlinePassed } from './simulated-deadline.ts';
import type { SimulatedLog } from './simulated-log.ts';
import type { StepWorld } from './simulated-steps.ts';
import { killed, type Simulation } from './simulation.ts';
import type { World } from './world.ts';

export interface SimulatedHost {
  readonly name: string;
  readonly role: Role;
  /** Its journal, as read from outside the host. */
  readonly journal: Journal;
  readonly world: World;
  /** Whether it is off for good, until a person looks at it. */
  staysOff: boolean;
  start(): void;
  /**
   * Kills the agent, which starts again after `downMs`. With `power` its programs die too, and the host boots again.
   */
  kill(how: { downMs: number; power?: boolean; programsToo?: boolean }): void;
  goOffline(ms: number): void;
  /** The server goes down, or comes up again. */
  disconnect(): void;
  reconnect(): void;
  presence(): Presence | undefined;
  /** Whether it has been connected long enough to have compared its journal with the log. */
  isInStep(): boolean;
}

/** One run of an agent: its loops, with their clock and connection. */
interface Agent {
  life: Life;
  connection: HostConnection;
  loops: HostLoops | undefined;
  isTalking: boolean;
  connectedAt: number;
}

/** The longest time for a look at the log if no answer is lost. */
const lookWithinMs = 5_000;

/** Checks each message once; the signatures are not checked, since nothing here forges a message. */
const checked = new WeakMap<Uint8Array, ReturnType<CheckMessage>>();
const check: CheckMessage = (message) => {
  const known = checked.get(message.bytes);
  if (known) return known;
  const event = readEvent(message.bytes);
  const found = { logged: { ...message, event }, key: testKey(event.source).publicKey };
  checked.set(message.bytes, found);
  return found;
};

const trusts = new WeakMap<Fleet, Trust>();
const trustOf = (fleet: Fleet): Trust => {
  const known = trusts.get(fleet) ?? trustNow(fleet);
  trusts.set(fleet, known);
  return known;
};

/** The simulated steps run no program and write to no disk. */
const workplace: Workplace = {
  makeFolder: formatAttempt,
  keepFolders: async () => undefined,
  hasRoom: async () => true,
  run: () => () => Promise.reject(new Error('a simulated step runs no program')),
};

export interface HostParts {
  name: string;
  role: Role;
  fleet: Fleet;
  kept: KeptJournal;
  world: World;
  /** The probability that a boundary kills its agent while there are faults. */
  killChance: number;
  steps: (host: StepWorld) => StepTable<null>;
}

/** A host whose agent runs the real loops over a simulated log, clock and world. */
export const createSimulatedHost = (sim: Simulation, log: SimulatedLog, parts: HostParts): SimulatedHost => {
  const { random, time } = sim;
  const { name, role, fleet, kept, world, killChance } = parts;
  let agent: Agent | undefined;
  let online = true;

  /** Possibly kills the agent here. @throws {killed} if it does. */
  const boundary = (what: string) => {
    if (!sim.faulty || !random.chance(killChance)) return;
    sim.killedAt.set(what, (sim.killedAt.get(what) ?? 0) + 1);
    sim.trace?.(`${name}: at "${what}"`);
    host.kill({ downMs: random.pick([10, 500, 5_000, 40_000]), programsToo: random.chance(0.7) });
    throw killed;
  };
  const rebootBoard = () => {
    if (agent) return host.kill({ downMs: random.pick([5_000, 20_000]), power: true });
    deadline?.kill();
    world.boot();
    if (!host.staysOff) time.after(random.pick([5_000, 20_000]), () => deadline?.start());
  };
  const deadline =
    role === 'board'
      ? createSimulatedDeadline(sim, { name, world, killChance: killChance * 3, reboot: rebootBoard })
      : undefined;
  /** Watches a loop of the process, which must not end or fail before the process is killed. */
  const asProcess = (life: Life, what: Promise<void>) =>
    void what.then(
      () => {
        if (life.isAlive()) sim.breaks('the code under test does not throw', `${name}: a loop has ended`);
      },
      (error: unknown) => {
        if (life.isAlive())
          sim.breaks(
            'the code under test does not throw',
            `${name}: ${error instanceof Error ? error.stack : error}`,
          );
      },
    );

  const loopsOf = (life: Life): Promise<HostLoops> => {
    const journal = new Journal(':memory:', () => databaseOf(kept.database, life, boundary));
    const clock = clockOf(sim, life);
    const say = (text: string) => {
      if (life.isAlive()) sim.trace?.(`${name}: says ${text}`);
    };
    return createHostLoops({
      fleet: fleet.fleet,
      name,
      role,
      key: { key: testKey(name) },
      check,
      checkOwn: check,
      trust: trustOf(fleet),
      journal,
      journalFile: 'journal.db',
      clock,
      workplace,
      steps: parts.steps({ world, journal, clock, reboot: rebootBoard }),
      host: null,
      attest: () => {
        throw new Error('a simulated step attests nothing');
      },
      started: { role, version: '1', bootId: world.bootId, release: 'r', package: null },
      report: role === 'board' ? async () => deadlinePassed(world) : undefined,
      outputOf: () => ({ write: () => undefined, end: () => undefined }),
      onRunning: () => undefined,
      trouble: createTrouble(say),
      say,
      // `build packages intent`: the last word is the place.
      failpoint: (point) => boundary(point.slice(point.lastIndexOf(' ') + 1)),
      signal: new AbortController().signal,
    });
  };

  const run = async (born: Agent): Promise<void> => {
    const { life } = born;
    const loops = await loopsOf(life);
    if (!life.isAlive()) return;
    born.loops = loops;
    asProcess(life, loops.work());
    connectSoon(born);
  };
  const connect = (of: Agent) => {
    if (agent !== of || !of.loops || !online || !log.isUp || of.connection.isOpen()) return;
    sim.trace?.(`${name}: is connected`);
    of.connection.connect();
    of.connectedAt = time.now;
    if (!of.isTalking) asProcess(of.life, of.loops.talk(of.connection.log));
    of.isTalking = true;
    time.settles();
  };
  const connectSoon = (of: Agent) =>
    time.after(sim.faulty ? random.pick([20, 500, 3_000, 29_000]) : 20, () => connect(of));

  const host: SimulatedHost = {
    name,
    role,
    journal: kept.journal,
    world,
    staysOff: false,
    start() {
      if (agent || host.staysOff) return;
      deadline?.start();
      const life = createLife();
      const connection = createHostConnection(sim, log, name, life, kept.journal);
      const born: Agent = { life, connection, loops: undefined, isTalking: false, connectedAt: 0 };
      agent = born;
      sim.trace?.(`${name}: starts`);
      asProcess(
        life,
        run(born).then(() => new Promise(() => undefined)),
      );
      time.settles();
    },
    kill({ downMs, power = false, programsToo = true }) {
      if (!agent) return;
      agent.life.end();
      agent = undefined;
      log.listen(name, undefined);
      sim.trace?.(
        `${name}: is killed${power ? ', without power' : programsToo ? '' : ', its programs live on'}`,
      );
      if (power) {
        kept.losePower();
        deadline?.kill();
        world.boot();
      } else world.orphan(programsToo);
      time.after(downMs, host.start);
    },
    goOffline(ms) {
      if (!online) return;
      online = false;
      host.disconnect();
      sim.trace?.(`${name}: is offline`);
      time.after(ms, () => {
        online = true;
        sim.trace?.(`${name}: is online`);
        host.reconnect();
      });
    },
    disconnect() {
      log.listen(name, undefined);
      agent?.connection.lose();
    },
    reconnect() {
      if (agent) connectSoon(agent);
    },
    presence() {
      if (!agent?.loops || !agent.connection.isOpen()) return undefined;
      const { checkpoint, ...told } = agent.loops.told();
      const boot = { bootId: world.bootId, release: 'r', package: null };
      const said = { host: name, role, time: new Date(sim.wallClock()).toISOString(), ...boot, ...told };
      return { ...said, ...(checkpoint ? { checkpoint } : {}) };
    },
    isInStep: () => agent?.connection.isOpen() === true && time.now - agent.connectedAt > lookWithinMs,
  };
  return host;
};
