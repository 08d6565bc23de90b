import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { coordinator } from '../../schemas/events.ts';
import { type LogServer, startLogServer } from '../../test/log-server.ts';
import { remakeDurable } from './durables.ts';
import { lastSequenceFor } from './log-end.ts';
import { logManager } from './provision.ts';
import { PullEnded, type Pulled, pullMessages } from './pull.ts';

const fleet = 'test';
const host = 'boltzmann';
let log: LogServer;
let wire: NatsConnection;
let agent: NatsConnection;
beforeAll(async () => {
  log = await startLogServer(fleet, [host]);
  wire = await log.connect(coordinator);
  agent = await log.connect(host);
  for (const attempt of [1, 2, 3])
    await wire.jetstream().publish(`ka.${fleet}.coordinator.iter1.BuildSuperseded.${attempt}.${host}`, 'x');
});
afterAll(() => log.stop());

const pull = async (onPulled: (pulled: Pulled) => Promise<'more' | 'enough'> | 'more' | 'enough') => {
  const stop = new AbortController();
  for await (const pulled of pullMessages(agent, host, 2, stop.signal))
    if ((await onPulled(pulled)) === 'enough') stop.abort();
};

it('hands over what is there, with its place, and says when there is nothing more', async () => {
  const places: unknown[] = [];
  await pull(async (pulled) => {
    if (pulled === 'nothing now') return 'enough';
    places.push([pulled.seq, pulled.handed, pulled.pending]);
    expect(Math.abs(Date.now() - pulled.storedAt)).toBeLessThan(60_000);
    await pulled.ack();
    return 'more';
  });
  expect(places).toEqual([
    [1, 1, 2],
    [2, 2, 1],
    [3, 3, 0],
  ]);
});

it('notices at once that the durable was deleted, soon that there is none, and reads a new one from its beginning', async () => {
  const manager = await logManager(wire);
  let deleted: Promise<boolean> | undefined;
  const whenNothing = pull((pulled) => {
    if (pulled === 'nothing now') deleted ??= manager.consumers.delete('KA', host);
    return 'more';
  });
  await expect(whenNothing).rejects.toThrow(/^the durable delivers nothing: 409 Consumer Deleted$/);
  await deleted;
  await expect(pull(() => 'more')).rejects.toThrow(PullEnded);
  await remakeDurable(wire, fleet, host, 3);
  const seen: unknown[] = [];
  await pull((pulled) => {
    if (pulled !== 'nothing now') seen.push([pulled.seq, pulled.handed]);
    return 'enough';
  });
  expect(seen).toEqual([[3, 1]]);
});

it('a server that has become silent is noticed', async () => {
  process.kill(log.server.pid, 'SIGSTOP');
  const began = performance.now();
  try {
    await expect(pull(() => 'more')).rejects.toThrow('or the log does not answer');
  } finally {
    process.kill(log.server.pid, 'SIGCONT');
  }
  expect(performance.now() - began).toBeLessThan(5_000);
});

it('a writer that may not read learns where the log ends, and stores nothing by that', async () => {
  const subject = `ka.${fleet}.${host}._.Nothing.0`;
  expect(await lastSequenceFor(agent, subject)).toBe(3);
  expect(await lastSequenceFor(agent, subject)).toBe(3);
});
