import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connectNats } from '../eventlog/connect.ts';
import { provision } from '../eventlog/provision.ts';
import { generateWriterKey, readWriterKey } from '../eventlog/writer-key.ts';
import { fleetUsers } from './nats-permissions.ts';
import { type NatsServer, startNatsServer } from './nats-server.ts';

const scratch = mkdtempSync(join(tmpdir(), 'ka-nats-'));
const cleanUp: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const undo of cleanUp.reverse()) await undo();
  rmSync(scratch, { recursive: true, force: true });
});

const createKey = () => {
  const seed = generateWriterKey();
  return { seed, publicKey: readWriterKey(seed).publicKey };
};
const writers = ['admin', 'coordinator', '@lars', 'boltzmann', 'fresnel'] as const;
const keys = Object.fromEntries(writers.map((writer) => [writer, createKey()])) as Record<
  (typeof writers)[number],
  { publicKey: string; seed: string }
>;
const users = fleetUsers('test', {
  admin: keys.admin.publicKey,
  coordinator: keys.coordinator.publicKey,
  operators: { lars: keys['@lars'].publicKey },
  hosts: { boltzmann: keys.boltzmann.publicKey, fresnel: keys.fresnel.publicKey },
});

const connectAs = async (server: NatsServer, name: (typeof writers)[number]) => {
  const seedFile = join(scratch, `${name}.seed`);
  writeFileSync(seedFile, keys[name].seed, { mode: 0o600 });
  const connection = await connectNats({ servers: [server.url], keyFile: seedFile, name });
  cleanUp.push(() => connection.close());
  return connection;
};

/** Whether JetStream acknowledged it. A publish that the server refuses is never answered. */
const publishes = (connection: NatsConnection, subject: string) =>
  connection
    .jetstream()
    .publish(subject, 'x', { timeout: 400 })
    .then(
      () => true,
      () => false,
    );
const asks = (connection: NatsConnection, subject: string, body = '') =>
  connection.request(subject, body, { timeout: 400, noMux: true }).then(
    (answer) => answer.string(),
    () => undefined,
  );

describe('the launcher', () => {
  test('a port that is taken is said in one sentence', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((listening) => other.once('listening', listening));
    const { port } = other.address() as { port: number };
    const folder = join(scratch, 'taken');
    await expect(startNatsServer({ folder, port })).rejects.toThrow(
      `nats-server can't listen on 127.0.0.1:${port}: another program does`,
    );
    other.close();
  });

  test('a nats-server that is not installed is said in one sentence', async () => {
    await expect(
      startNatsServer({ folder: join(scratch, 'none'), program: join(scratch, 'no-nats-server') }),
    ).rejects.toThrow(/^nats-server is not installed: install the package nats-server$/);
  });
});

describe('a fleet', () => {
  let server: NatsServer;
  let boltzmann: NatsConnection;
  let coordinator: NatsConnection;

  beforeAll(async () => {
    server = await startNatsServer({ folder: join(scratch, 'fleet'), users });
    cleanUp.push(() => server.stop());
    await provision(await connectAs(server, 'admin'), 'test', ['boltzmann', 'fresnel']);
    boltzmann = await connectAs(server, 'boltzmann');
    coordinator = await connectAs(server, 'coordinator');
  });

  test('a stranger is not let in', async () => {
    const seedFile = join(scratch, 'stranger.seed');
    writeFileSync(seedFile, createKey().seed);
    await expect(
      connectNats({ servers: [server.url], keyFile: seedFile, name: 'boltzmann' }),
    ).rejects.toThrow(/Authorization Violation/i);
  });

  test('a host publishes its own events and output, and nobody else’s', async () => {
    expect(await publishes(boltzmann, 'ka.test.boltzmann.iter5.BuildSucceeded.1')).toBe(true);
    expect(await publishes(boltzmann, 'ka-out.test.boltzmann.iter5.build.1')).toBe(true);
    expect(await publishes(boltzmann, 'ka.test.fresnel.iter5.SweepSucceeded.1')).toBe(false);
    expect(await publishes(boltzmann, 'ka.test.coordinator.iter5.BuildRequested.1.boltzmann')).toBe(false);
    expect(await publishes(boltzmann, 'ka.test.@lars.iter5.ReviewApproved.1')).toBe(false);
  });

  test('the coordinator and the operator publish their own events alone', async () => {
    const person = await connectAs(server, '@lars');
    expect(await publishes(coordinator, 'ka.test.coordinator.iter5.SweepRequested.1.fresnel')).toBe(true);
    expect(await publishes(person, 'ka.test.@lars.iter5.ReviewApproved.1')).toBe(true);
    expect(await publishes(coordinator, 'ka.test.@lars.iter5.ReviewApproved.2')).toBe(false);
    expect(await publishes(person, 'ka.test.coordinator.iter5.BuildRequested.1.boltzmann')).toBe(false);
  });

  test('a host pulls its own requests and not another’s', async () => {
    await publishes(coordinator, 'ka.test.coordinator.iter5.BuildRequested.1.boltzmann');
    const own = await boltzmann.jetstream().consumers.get('KA', 'boltzmann');
    const message = await own.next({ expires: 2000 });
    expect(message?.subject).toBe('ka.test.coordinator.iter5.BuildRequested.1.boltzmann');
    expect(await message?.ackAck()).toBe(true);
    const expires = JSON.stringify({ batch: 1, expires: 300_000_000 });
    expect(await asks(boltzmann, '$JS.API.CONSUMER.MSG.NEXT.KA.fresnel', expires)).toBeUndefined();
  });

  test('a host reads its own events back and not another’s', async () => {
    const get = '$JS.API.DIRECT.GET.KA.ka.test';
    expect(await asks(boltzmann, `${get}.boltzmann.iter5.BuildSucceeded.1`)).toBe('x');
    expect(await asks(boltzmann, `${get}.coordinator.iter5.SweepRequested.1.fresnel`)).toBeUndefined();
    expect(await asks(boltzmann, '$JS.API.STREAM.MSG.GET.KA', '{"seq":1}')).toBeUndefined();
  });

  test('nobody but the administrator changes the streams or makes a host’s consumer', async () => {
    const config = JSON.stringify({ name: 'KA', subjects: ['ka.test.>'], max_msgs: 1 });
    for (const connection of [boltzmann, coordinator]) {
      expect(await asks(connection, '$JS.API.STREAM.UPDATE.KA', config)).toBeUndefined();
      expect(await asks(connection, '$JS.API.STREAM.DELETE.KA')).toBeUndefined();
      expect(await asks(connection, '$JS.API.STREAM.PURGE.KA')).toBeUndefined();
    }
    expect(await asks(boltzmann, '$JS.API.CONSUMER.CREATE.KA', '{}')).toBeUndefined();
  });

  test('a host can’t listen to another’s replies', async () => {
    const heard: string[] = [];
    const refused = new Promise((answer) => {
      boltzmann.subscribe('_INBOX_fresnel.>', {
        callback: (error, message) => (error ? answer(error.message) : heard.push(message.subject)),
      });
    });
    expect(await refused).toMatch(/permissions violation/i);
    expect(heard).toEqual([]);
  });

  test('the coordinator hears the hosts’ presence', async () => {
    const subscription = coordinator.subscribe('ka-out.test.*.presence', { max: 1, timeout: 2000 });
    await coordinator.flush();
    boltzmann.publish('ka-out.test.boltzmann.presence', 'here');
    for await (const message of subscription) expect(message.string()).toBe('here');
  });

  afterEach(() => expect(boltzmann.isClosed()).toBe(false));
});

test('what was acknowledged is there after a kill and a restart, on the same port', async () => {
  const server = await startNatsServer({ folder: join(scratch, 'killed'), users });
  cleanUp.push(() => server.stop());
  const admin = await connectAs(server, 'admin');
  await provision(admin, 'test', ['boltzmann']);
  for (let n = 1; n <= 50; n++)
    expect(await publishes(admin, `ka.test.boltzmann.iter5.Noted.${n}`)).toBe(true);
  const { port, pid } = server;
  await server.kill('SIGKILL');
  await server.restart();
  expect(server.port).toBe(port);
  expect(server.pid).not.toBe(pid);
  const again = await connectAs(server, 'admin');
  expect((await (await again.jetstreamManager()).streams.info('KA')).state.messages).toBe(50);
});
