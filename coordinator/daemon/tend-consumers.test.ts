import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Presence } from '../../eventlog/live/presence.ts';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import { durablePosition, nextFor } from '../../eventlog/stream/durables.ts';
import { appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import { eventStream, logManager } from '../../eventlog/stream/provision.ts';
import { pullMessages } from '../../eventlog/stream/pull.ts';
import { coordinator } from '../../schemas/events.ts';
import { cutTail, type LogServer, startLogServer, until } from '../../test/log-server.ts';
import { foldLog } from '../commands/session.ts';
import { exampleFleet } from '../testing/example-plan.ts';
import { historyOf, started } from '../testing/history.ts';
import { natsPorts } from './nats-ports.ts';
import { createTender } from './tend-consumers.ts';

const hosts = Object.keys(exampleFleet.hosts);
const host = 'boltzmann';
let log: LogServer;
let wire: NatsConnection;
let agent: NatsConnection;
const told: string[] = [];

/**
 * Appends an event of `writer`. The coordinator's is a supersession of an attempt that was never requested: something
 * for the host to read.
 */
const append = async (writer: string, attempt: number, forHost = host) => {
  const event =
    writer === coordinator
      ? {
          type: 'BuildSuperseded' as const,
          iteration: 'iter1',
          attempt,
          host: forHost,
          data: {
            host: forHost,
            reason: { code: 'host-silent', host: forHost, silentSeconds: 61, graceSeconds: 60 },
          },
        }
      : {
          type: 'AgentStarted' as const,
          iteration: '_',
          attempt,
          data: { role: 'builder', version: '1', bootId: 'b', release: 'r', package: null },
        };
  const sealed = sealEvent(
    event,
    { fleet: exampleFleet.fleet, name: writer, key: log.key(writer) },
    undefined,
    '2026-05-11T08:00:00Z',
  );
  const appended = await appendEvent(writer === coordinator ? wire : agent, sealed);
  return appended.outcome === 'moved' ? 0 : appended.sequence;
};

/** Acks all that the host's durable delivers now. @returns the sequences. */
const take = async (): Promise<number[]> => {
  const taken: number[] = [];
  for await (const message of pullMessages(agent, host, 100, new AbortController().signal)) {
    if (message === 'nothing now') break;
    taken.push(message.seq);
    await message.ack();
  }
  return taken;
};

const presence = (position: number, open: string[] = []): Presence => ({
  host,
  role: 'builder',
  time: '2026-05-11T08:00:00Z',
  bootId: 'b',
  release: 'r',
  package: null,
  running: null,
  unsent: 0,
  open,
  position,
  trouble: null,
});

const state = async () => foldLog((await new EventLog(wire, log.trust).read()).events);
const tender = () =>
  createTender(
    natsPorts(wire, log.fleet, (text) => void told.push(text)),
    exampleFleet,
  );
const nobody = () => Number.POSITIVE_INFINITY;

beforeAll(async () => {
  log = await startLogServer(
    exampleFleet.fleet,
    Object.fromEntries(hosts.map((host) => [host, exampleFleet.hosts[host]?.role ?? 'board'])),
  );
  wire = await log.connect(coordinator);
  agent = await log.connect(host);
  for (const attempt of [1, 2, 3]) await append(coordinator, attempt);
  expect(await take()).toEqual([1, 2, 3]);
  await append(host, 1);
});
afterAll(() => log.stop());

it('a durable at its host’s own position is left alone', async () => {
  const one = tender();
  one.hear(presence(3), 1_000);
  for (const now of [0, 4_000]) await one.look(await state(), nobody, now);
  expect(told).toEqual([]);
});

it('the server is asked again only about a durable that may not be well', async () => {
  const ports = natsPorts(wire, log.fleet, (text) => void told.push(text));
  const asked: string[] = [];
  const position = (of: string) => {
    asked.push(of);
    return ports.durables.position(of);
  };
  const one = createTender({ ...ports, durables: { ...ports.durables, position } }, exampleFleet);
  const lookAt = async (now: number, known = nobody) => {
    asked.length = 0;
    await one.look(await state(), known, now);
    return [...asked];
  };
  one.hear(presence(3), 5_000);
  expect(await lookAt(5_000)).toEqual(hosts);
  expect(await lookAt(7_000)).toEqual([]);
  one.hear(presence(2), 8_000); // its journal went back
  expect(await lookAt(9_000)).toEqual([host]);
  expect(await lookAt(36_000)).toEqual(hosts);
  told.length = 0;
});

it('a deleted durable is made again at the host’s own position, once the host is heard', async () => {
  await (await logManager(wire)).consumers.delete(eventStream, host);
  await append(coordinator, 4);
  const one = tender();
  await one.look(await state(), nobody, 0);
  expect(await durablePosition(wire, host)).toBeUndefined();
  one.hear(presence(2), 100);
  await one.look(await state(), nobody, 200);
  expect(await take()).toEqual([3, 5]);
  expect(told.splice(0)).toEqual([`${host}'s durable was made again from sequence 3: it was gone`]);
});

it('a host whose journal was lost or is an old copy gets the messages after its position again', async () => {
  const one = tender();
  one.hear(presence(1), 500);
  await one.look(await state(), nobody, 1_000); // heard too soon after the ack: it may have been sent before it
  expect(told).toEqual([]);
  one.hear(presence(1), 3_000);
  await one.look(await state(), nobody, 3_100);
  expect(await take()).toEqual([2, 3, 5]);
  expect(told.splice(0)).toHaveLength(1);
  // A remake that did not help is not repeated at once.
  one.hear(presence(1), 5_100);
  await one.look(await state(), nobody, 5_200);
  one.hear(presence(1), 7_100);
  await one.look(await state(), nobody, 7_200);
  expect(told.splice(0).length).toBeLessThanOrEqual(1);
});

it('a durable beyond the end of a cut log, and every durable after a cut, begins again', async () => {
  for (const attempt of [5, 6, 7, 8]) await append(coordinator, attempt);
  await take();
  await log.server.kill('SIGKILL');
  cutTail(join(log.folder, 'nats'), 0.3);
  await log.server.restart();
  for (const connection of [wire, agent]) await until(() => connection.rtt().catch(() => undefined));
  const { sequence } = await state();
  expect(sequence).toBeLessThan(9);
  expect((await durablePosition(wire, host))?.deliveredUpTo).toBeGreaterThan(sequence);
  await append(coordinator, 9);
  expect(await take()).toEqual([]); // it delivers nothing, without an error

  const one = tender();
  one.hear(presence(5), 0);
  await one.look(await state(), nobody, 100);
  const all = await take();
  expect(all.slice(0, 4)).toEqual([1, 2, 3, 5]);
  expect(all.at(-1)).toBe(sequence + 1);
  one.cut();
  await one.look(await state(), nobody, 200);
  expect(await take()).toEqual(all);
  expect(told.splice(0).filter((text) => text.startsWith(host))).toHaveLength(2);
});

it('an open attempt that its host does not know is delivered again', async () => {
  const open = historyOf(started(), (history) => history.settle()).state;
  const asked = open.iterations.get('iter5')?.attempts.preflight[0]?.requested.sequence;
  const one = tender();
  const since = () => 10_000;
  one.hear(presence(5, ['iter5 preflight 1']), 16_000);
  await one.look({ ...open, sequence: 100 }, since, 16_100);
  one.hear(presence(5), 14_000); // before the host could have heard of it
  await one.look({ ...open, sequence: 100 }, since, 14_100);
  expect(one.isUnknownTo(since)(host, { iteration: 'iter5', step: 'preflight', attempt: 1 })).toBe(false);
  expect(told).toEqual([]);
  one.hear(presence(5), 15_500);
  expect(one.isUnknownTo(since)(host, { iteration: 'iter5', step: 'preflight', attempt: 1 })).toBe(true);
  await one.look({ ...open, sequence: 100 }, since, 15_600);
  expect(told.splice(0)).toEqual([
    `${host}'s durable was made again from sequence ${asked}: it has not heard of iter5 preflight 1`,
  ]);
});

it('the next message for a host is found behind messages for others', async () => {
  expect(await nextFor(wire, exampleFleet.fleet, host, 3)).toBe(5);
  const { sequence } = await state();
  expect(await nextFor(wire, exampleFleet.fleet, host, sequence)).toBeUndefined();
});
