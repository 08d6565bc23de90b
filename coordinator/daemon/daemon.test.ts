import { setTimeout as sleep } from 'node:timers/promises';
import { Events, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { serverTime } from '../../eventlog/connection/server-time.ts';
import { sayPresent } from '../../eventlog/live/presence.ts';
import { linkTo, sealEvent } from '../../eventlog/signing/seal.ts';
import { appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import { coordinator, personWriter, stepEventType } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import { type LogServer, people, startLogServer, until } from '../../test/log-server.ts';
import { foldLog } from '../commands/session.ts';
import { decide } from '../decider/decide.ts';
import { evolve } from '../decider/evolve.ts';
import { reviewOf } from '../decider/graph.ts';
import { type Iteration, initialState, type State } from '../decider/state.ts';
import { replayCheck } from '../reading/replay.ts';
import { goodEvidence } from '../testing/example-evidence.ts';
import { exampleFleet, examplePlan } from '../testing/example-plan.ts';
import { approves, startOf } from '../testing/history.ts';
import { runCoordinator } from './daemon.ts';
import { natsPorts } from './nats-ports.ts';

const hosts = Object.keys(exampleFleet.hosts);
const roles = Object.fromEntries(hosts.map((host) => [host, exampleFleet.hosts[host]?.role ?? 'board']));
let log: LogServer;
let fleet: Fleet;
let person: NatsConnection;
const wires = new Map<string, NatsConnection>();
beforeAll(async () => {
  log = await startLogServer(exampleFleet.fleet, roles);
  fleet = log.fleet;
  person = await log.connect(personWriter(people[0]));
  for (const name of people) wires.set(personWriter(name), await log.connect(personWriter(name)));
  for (const host of hosts) wires.set(host, await log.connect(host));
});
afterAll(() => log.stop());

/** The person who writes an event. */
const writerOf = ({ data }: { data: unknown }) => personWriter((data as { by: string }).by);
const presence = {
  ...{ role: 'builder', time: '', bootId: 'b', release: 'r', package: null, running: null, unsent: 0 },
};

const read = async () => {
  const { events } = await new EventLog(person, log.trust).read();
  return { events, state: foldLog(events) };
};

/** Each writer's last event: a writer counts its own events, even those that the log has not delivered yet. */
const lastOwn = new Map<string, { seq: number; hash: string }>();

const append = async (writer: string, wire: NatsConnection, event: Parameters<typeof sealEvent>[0]) => {
  const author = { fleet: fleet.fleet, name: writer, key: log.key(writer) };
  const sealed = sealEvent(event, author, lastOwn.get(writer), new Date().toISOString());
  lastOwn.set(writer, linkTo(sealed.seq, sealed.bytes));
  return appendEvent(wire, sealed);
};

/** Plays hosts that do everything at once and well, and people who approve. They answer the log as it grows. */
const playHosts = async (iteration: string, signal: AbortSignal) => {
  let state: State = initialState;
  await new EventLog(person, log.trust).follow({ signal }, async (logged) => {
    state = evolve(state, logged);
    const { event } = logged;
    const one = state.iterations.get(iteration);
    if (!one || event.iteration !== iteration) return;
    if (event.kind === 'step' && event.fact === 'Requested') {
      const { host } = event.data;
      const wire = wires.get(host);
      if (!wire) throw new Error(`no host ${host}`);
      const data = { evidence: goodEvidence(one, event.step), seconds: 1 };
      const answer = {
        type: stepEventType(event.step, 'Succeeded'),
        iteration,
        attempt: event.attempt,
        data,
      };
      await append(host, wire, answer);
    } else if (event.type === 'ReviewRequested')
      for (const by of ['mfritsche', 'architect']) {
        const now = (await read()).state;
        const [approval] = decide({ ...approves(by), iteration } as Parameters<typeof decide>[0], now);
        if (approval) await append(writerOf(approval), wires.get(writerOf(approval)) ?? person, approval);
      }
  });
};

/** @param beforeAppend called before each append, with the event's subject. */
const startCoordinator = async (beforeAppend: (subject: string) => Promise<void> = async () => undefined) => {
  const stop = new AbortController();
  const said: string[] = [];
  const connection = await log.connect(coordinator);
  const ports = natsPorts(connection, log.trust, (text) => void said.push(text));
  const append: typeof ports.log.append = async (sealed, last) => {
    await beforeAppend(sealed.subject);
    return ports.log.append(sealed, last);
  };
  const running = runCoordinator({
    ports: { ...ports, log: { ...ports.log, append } },
    fleet,
    key: log.key(coordinator),
    signal: stop.signal,
  });
  return {
    said,
    stop: async () => {
      stop.abort();
      await running;
      await connection.close();
    },
  };
};

/** Waits until the connection was lost and made again. A ping would also answer before the loss is noticed. */
const reconnected = async (wire: NatsConnection): Promise<void> => {
  for await (const { type } of wire.status()) if (type === Events.Reconnect) return;
};

const startIteration = async (iteration: string) => {
  const { state } = await read();
  const command = startOf(examplePlan((plan) => Object.assign(plan, { iteration })));
  const [event] = decide(command, state);
  if (!event) throw new Error('nothing starts');
  await append(writerOf(event), person, event);
};

/** Checks the coordinator's events of an iteration: no fact occurs twice, and each links to the one before. */
const checkOwnEvents = async (iteration: string) => {
  const own = (await read()).events.filter(({ event }) => event.source === coordinator);
  own.forEach(({ event }, index) => {
    const before = own[index - 1];
    const link = before && linkTo(before.event.writerseq, before.bytes);
    expect([event.writerseq, event.prevhash]).toEqual([index + 1, link?.hash]);
  });
  const types = own.filter(({ event }) => event.iteration === iteration).map(({ event }) => event.type);
  expect(types).toHaveLength(new Set(types).size);
  expect(types.at(-1)).toBe('IterationClosed');
  expect(types).toHaveLength(16);
};

const closed = (iteration: string) =>
  until(async () => (await read()).state.iterations.get(iteration)?.ended);

it('two coordinators over one log append each event once, without an alarm', async () => {
  const stop = new AbortController();
  const playing = playHosts('iter5', stop.signal);
  const both = [await startCoordinator(), await startCoordinator()];
  await startIteration('iter5');
  expect(await closed('iter5')).toMatchObject({ status: 'closed' });
  for (const one of both) await one.stop();
  stop.abort();
  await playing;
  await checkOwnEvents('iter5');
  expect(both.flatMap(({ said }) => said).filter((text) => !text.startsWith('follows'))).toEqual([]);
});

it('a coordinator that is stopped after each event and started again asks for nothing twice', async () => {
  const stop = new AbortController();
  const playing = playHosts('iter6', stop.signal);
  await startIteration('iter6');
  for (let ended = false; !ended; ) {
    const own = async () => (await read()).events.filter(({ event }) => event.source === coordinator).length;
    const before = await own();
    const one = await startCoordinator();
    await until(async () => (await own()) > before);
    await one.stop();
    expect(one.said.filter((text) => !text.startsWith('follows'))).toEqual([]);
    ended = (await read()).state.iterations.get('iter6')?.ended !== undefined;
  }
  stop.abort();
  await playing;
  await checkOwnEvents('iter6');
});

it('a coordinator goes on after the server was lost', async () => {
  const stop = new AbortController();
  const one = await startCoordinator();
  await until(() => one.said.length > 0);
  const back = [person, ...wires.values()].map(reconnected);
  await log.server.kill('SIGKILL');
  await log.server.restart();
  await Promise.all(back);
  const playing = playHosts('iter7', stop.signal);
  await startIteration('iter7');
  expect(await closed('iter7')).toMatchObject({ status: 'closed' });
  await one.stop();
  stop.abort();
  await playing;
  await checkOwnEvents('iter7');
});

it('a start that arrives while another event is being appended is answered', async () => {
  let isLate = false;
  const one = await startCoordinator(async () => {
    if (isLate) return;
    isLate = true;
    const { events } = await read();
    await startIteration('iter12');
    // The coordinator has it before its own append, which the log then refuses.
    await until(async () => (await read()).events.length > events.length);
    await sleep(300);
  });
  await startIteration('iter11');
  await until(async () => {
    const { starts } = (await read()).state;
    return starts.get('iter11')?.open.length === 0 && starts.get('iter12')?.open.length === 0;
  });
  await one.stop();
  for (const iteration of ['iter11', 'iter12']) {
    const { state } = await read();
    if (state.iterations.get(iteration)?.ended !== undefined || !state.iterations.has(iteration)) continue;
    const [abort] = decide({ do: 'Abort', iteration, by: 'mfritsche', why: '' }, state);
    await append('@mfritsche', person, abort as NonNullable<typeof abort>);
  }
  const two = await startCoordinator();
  await until(async () => (await read()).state.underWay.size === 0);
  await two.stop();
});

it('an approval without a landing expires by the server’s clock, and then no longer counts', async () => {
  await startIteration('iter9');
  const one = await startCoordinator();
  const answerPreflight = async () => {
    const { state } = await read();
    const asked = state.iterations.get('iter9');
    if (asked?.attempts.preflight.length !== 1) return undefined;
    const data = { evidence: goodEvidence(asked, 'preflight'), seconds: 1 };
    return append('boltzmann', wires.get('boltzmann') ?? person, {
      type: 'PreflightSucceeded',
      iteration: 'iter9',
      attempt: 1,
      data,
    });
  };
  await until(answerPreflight);
  const now = await serverTime(person);
  const expires = new Date(now.getTime() + 1_500).toISOString();
  const approve = {
    do: 'Approve',
    iteration: 'iter9',
    by: 'mfritsche',
    note: '',
    approved: true,
    expires,
  } as const;
  const [approval] = await until(async () => {
    const { state } = await read();
    return (state.iterations.get('iter9')?.reviews.length ?? 0) > 0 ? decide(approve, state) : undefined;
  });
  await append('@mfritsche', person, approval as NonNullable<typeof approval>);
  // Presences move that clock: it shows when the server last received a message.
  const expired = await until(async () => {
    sayPresent(wires.get('fermi') ?? person, fleet.fleet, { ...presence, host: 'fermi' });
    return (await read()).events.find(({ event }) => event.type === 'ApprovalExpired')?.event;
  });
  await one.stop();
  const { state, events } = await read();
  const own = ({ sequence }: { sequence: number }) => events[sequence - 1]?.event.type === 'ApprovalExpired';
  expect(expired.data).toMatchObject({ by: 'mfritsche', expires });
  expect(reviewOf(state.iterations.get('iter9') as Iteration)?.missing).toContain('mfritsche');
  expect(replayCheck(events).mismatches.filter(own)).toEqual([]);
  const [abort] = decide({ do: 'Abort', iteration: 'iter9', by: 'mfritsche', why: '' }, state);
  await append('@mfritsche', person, abort as NonNullable<typeof abort>);
});

it('a coordinator tells its hosts what the log holds, and asks for nothing where it was rewritten', async () => {
  const started = {
    type: 'AgentStarted',
    iteration: '_',
    attempt: 1,
    data: { role: 'board', version: '1', bootId: 'b', release: 'r', package: null },
  } as const;
  const wire = wires.get('fresnel') ?? person;
  await append('fresnel', wire, started);
  const one = await startCoordinator();
  const told = async () =>
    (await read()).events.flatMap(({ event }) => (event.type === 'Checkpointed' ? event : []));
  const [first] = await until(async () => ((await told()).length > 0 ? told() : undefined));
  await one.stop();
  const { events } = await read();
  const differ = replayCheck(events).mismatches.map(({ type }) => type);
  expect(differ).not.toContain('Checkpointed');
  expect(first).toMatchObject({ data: { host: 'fresnel', from: 0, size: events.length - 1 } });

  const forged = { ...(first?.data as object), root: Buffer.alloc(32).toString('base64'), size: 3 };
  const own = events.findLast(({ event }) => event.source === coordinator);
  lastOwn.set(coordinator, linkTo(own?.event.writerseq ?? 0, own?.bytes ?? new Uint8Array()));
  const asking = await log.connect(coordinator);
  await append(coordinator, asking, {
    type: 'Checkpointed',
    iteration: '_',
    attempt: 99,
    host: 'fresnel',
    data: forged,
  });
  await startIteration('iter8');
  const two = await startCoordinator();
  await until(() =>
    two.said.some((text) => text.startsWith('ALARM: the log was rewritten: at 3 events its head was AAAA')),
  );
  await two.stop();
  expect((await read()).events.filter(({ event }) => event.iteration === 'iter8')).toHaveLength(1);
});
