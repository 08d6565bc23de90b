import { setTimeout as sleep } from 'node:timers/promises';
import { Events } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LogConnection } from '../../eventlog/connection/connect.ts';
import { serverTime } from '../../eventlog/connection/server-time.ts';
import { createSayPresent } from '../../eventlog/live/presence.ts';
import { linkTo, sealEvent } from '../../eventlog/signing/seal.ts';
import { appendEvent } from '../../eventlog/stream/event-log.ts';
import { coordinator, type NewEvent, noIteration } from '../../schemas/events.ts';
import { type LogServer, until } from '../../test/log-server.ts';
import { reviewOf } from '../decider/graph.ts';
import type { Iteration, State } from '../decider/state.ts';
import { replayCheck } from '../reading/replay.ts';
import { type PlayedFleet, startPlayedFleet } from '../testing/played-fleet.ts';

let played: PlayedFleet;
let log: LogServer;
let person: LogConnection;
let read: PlayedFleet['read'];
beforeAll(async () => {
  played = await startPlayedFleet();
  ({ log, person, read } = played);
});
afterAll(() => played.stop());

const presence = {
  ...{ role: 'builder', time: '', bootId: 'b', release: 'r', package: null, running: null, unsent: 0 },
};

/** Waits until the connection was lost and made again. A ping would also answer before the loss is noticed. */
const reconnected = async (wire: LogConnection): Promise<void> => {
  for await (const { type } of wire.status()) if (type === Events.Reconnect) return;
};

const hasEnded = (iteration: string) => (state: State) =>
  state.iterations.get(iteration)?.ended !== undefined;

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

it('two coordinators over one log append each event once, without an alarm', async () => {
  const both = [await played.startCoordinator(), await played.startCoordinator()];
  await played.start('iter5');
  await played.play('iter5', hasEnded('iter5'));
  for (const one of both) await one.stop();
  await checkOwnEvents('iter5');
  expect(both.flatMap(({ told }) => told).filter((text) => !text.startsWith('follows'))).toEqual([]);
});

it('a coordinator that is stopped after each event and started again asks for nothing twice', async () => {
  await played.start('iter6');
  let ended = false;
  const playing = played.play('iter6', hasEnded('iter6')).then(() => {
    ended = true;
  });
  const own = async () => (await read()).events.filter(({ event }) => event.source === coordinator).length;
  while (!ended) {
    const before = await own();
    const one = await played.startCoordinator();
    await until(async () => ended || (await own()) > before);
    await one.stop();
    expect(one.told.filter((text) => !text.startsWith('follows'))).toEqual([]);
  }
  await playing;
  await checkOwnEvents('iter6');
});

it('a coordinator goes on after the server was lost', async () => {
  const one = await played.startCoordinator();
  const wires = [person, ...(await Promise.all(played.hosts.map(played.wire)))];
  const back = wires.map(reconnected);
  await log.server.kill('SIGKILL');
  await log.server.restart();
  await Promise.all(back);
  await played.start('iter7');
  await played.play('iter7', hasEnded('iter7'));
  await one.stop();
  await checkOwnEvents('iter7');
});

it('a start that arrives while another event is being appended is answered', async () => {
  let isLate = false;
  const beforeAppend = async () => {
    if (isLate) return;
    isLate = true;
    await played.start('iter12');
    // The coordinator has it before its own append, which the log then refuses.
    await until(async () => (await read()).state.starts.has('iter12'));
    await sleep(300);
  };
  const one = await played.startCoordinator({ beforeAppend });
  await played.start('iter11');
  await until(async () => {
    const { starts } = (await read()).state;
    return starts.get('iter11')?.open.length === 0 && starts.get('iter12')?.open.length === 0;
  });
  await one.stop();
  for (const iteration of ['iter11', 'iter12']) {
    const found = (await read()).state.iterations.get(iteration);
    if (found && found.ended === undefined)
      await played.command({ do: 'Abort', iteration, by: 'mfritsche', why: '' });
  }
  const two = await played.startCoordinator();
  await until(async () => (await read()).state.underWay.size === 0);
  await two.stop();
});

it('an approval without a landing expires by the server’s clock, and then no longer counts', async () => {
  const iteration = 'iter9';
  await played.start(iteration);
  const one = await played.startCoordinator();
  const approve = async () => {
    const expires = new Date((await serverTime(person)).getTime() + 1_500).toISOString();
    await played.command({ do: 'Approve', iteration, by: 'mfritsche', note: '', expires });
    return expires;
  };
  const isReviewed = (state: State) => (state.iterations.get(iteration)?.reviews.length ?? 0) > 0;
  await played.play(iteration, isReviewed);
  const expires = await approve();
  // Presences move that clock: it shows when the server last received a message.
  const fermi = await played.wire('fermi');
  const sayPresent = createSayPresent({ fleet: log.fleet.fleet, key: log.key('fermi') });
  const expired = await until(async () => {
    sayPresent(fermi, { ...presence, host: 'fermi' });
    return (await read()).events.find(({ event }) => event.type === 'ApprovalExpired')?.event;
  });
  await one.stop();
  const { state, events } = await read();
  const own = ({ sequence }: { sequence: number }) => events[sequence - 1]?.event.type === 'ApprovalExpired';
  expect(expired.data).toMatchObject({ by: 'mfritsche', expires });
  expect(reviewOf(state.iterations.get(iteration) as Iteration)?.missing).toContain('mfritsche');
  expect(replayCheck(events).mismatches.filter(own)).toEqual([]);
  await played.command({ do: 'Abort', iteration, by: 'mfritsche', why: '' });
});

it('a coordinator tells its hosts what the log holds, and asks for nothing where it was rewritten', async () => {
  await played.say('fresnel', {
    type: 'AgentStarted',
    iteration: noIteration,
    attempt: 1,
    data: { role: 'board', version: '1', bootId: 'b', release: 'r', package: null },
  });
  const one = await played.startCoordinator();
  const checkpoints = async () =>
    (await read()).events.flatMap(({ event }) => (event.type === 'Checkpointed' ? event : []));
  const [first] = await until(async () => ((await checkpoints()).length > 0 ? checkpoints() : undefined));
  await one.stop();
  const { events, state } = await read();
  const differ = replayCheck(events).mismatches.map(({ type }) => type);
  expect(differ).not.toContain('Checkpointed');
  expect(first).toMatchObject({ data: { host: 'fresnel', from: 0, size: events.length - 1 } });

  const forged = { ...(first?.data as object), root: Buffer.alloc(32).toString('base64'), size: 3 };
  const event = { type: 'Checkpointed', iteration: noIteration, attempt: 99, host: 'fresnel', data: forged };
  const author = { fleet: log.fleet.fleet, name: coordinator, key: log.key(coordinator) };
  await appendEvent(
    await played.wire(coordinator),
    sealEvent(event as NewEvent, author, state.writers.get(coordinator), new Date().toISOString()),
  );
  await played.start('iter8');
  const two = await played.startCoordinator();
  await until(() =>
    two.told.some((text) => text.startsWith('ALARM: the log was rewritten: at 3 events its head was AAAA')),
  );
  await two.stop();
  expect((await read()).events.filter(({ event }) => event.iteration === 'iter8')).toHaveLength(1);
});
