import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connectNats } from '../eventlog/connection/connect.ts';
import { excessRights, refusedWhile } from '../eventlog/connection/permission-probe.ts';
import { generateWriterKey, readWriterKey } from '../eventlog/signing/writer-key.ts';
import { provision } from '../eventlog/stream/provision.ts';
import { pullMessages } from '../eventlog/stream/pull.ts';
import { LogLimits } from '../schemas/log-limits.ts';
import { fleetLogins, natsConfig } from './nats-config.ts';
import { permissionsOf } from './nats-permissions.ts';
import { type NatsServer, startNatsServer } from './nats-server.ts';
import { readVersion } from './nats-version.ts';

const scratch = mkdtempSync(join(tmpdir(), 'ka-nats-'));
const cleanUp: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const undo of cleanUp.reverse()) await undo();
  rmSync(scratch, { recursive: true, force: true });
});

const person = '@lars';
const writers = [
  'admin',
  'keeper',
  'coordinator',
  person,
  'boltzmann',
  'fresnel',
  'boltzmann before',
] as const;
type Writer = (typeof writers)[number];
const seeds = Object.fromEntries(writers.map((writer) => [writer, generateWriterKey()])) as Record<
  Writer,
  string
>;
const keys = (writer: Writer) => ({ publicKey: readWriterKey(seeds[writer]).publicKey });
const logins = fleetLogins({
  fleet: 'test',
  admin: keys('admin'),
  keeper: keys('keeper'),
  coordinator: keys('coordinator'),
  operators: { lars: keys(person) },
  hosts: {
    boltzmann: { ...keys('boltzmann'), earlierKeys: [keys('boltzmann before').publicKey] },
    fresnel: keys('fresnel'),
  },
});

const connectAs = async (server: NatsServer, writer: Writer) => {
  const keyFile = join(scratch, `${writer}.nkey`);
  writeFileSync(keyFile, seeds[writer], { mode: 0o600 });
  const [name = ''] = writer.split(' ');
  const connection = await connectNats({ servers: [server.url], keyFile, name });
  cleanUp.push(() => connection.close());
  return connection;
};

/** Whether JetStream acknowledges a publish. One that the server refuses is never answered. */
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
  test('a port that is taken is reported in one sentence', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((listening) => other.once('listening', listening));
    const { port } = other.address() as { port: number };
    const folder = join(scratch, 'taken');
    await expect(startNatsServer({ folder, logins, port })).rejects.toThrow(
      `nats-server can't listen on 127.0.0.1:${port}: another program does`,
    );
    other.close();
  });

  test('a nats-server that is not installed is reported in one sentence', async () => {
    await expect(
      startNatsServer({ folder: join(scratch, 'none'), logins, program: join(scratch, 'no-nats-server') }),
    ).rejects.toThrow(/^nats-server is not installed: install the package nats-server$/);
  });
});

describe('the config', () => {
  const options = {
    host: '127.0.0.1',
    port: 4222,
    storeFolder: '/var/lib/nats',
    logins,
    version: { major: 2, minor: 9 },
  };

  test('a host has seven patterns to publish and one to subscribe', () => {
    expect(permissionsOf('test', { writer: 'boltzmann', role: 'host' }, ['boltzmann', 'fresnel'])).toEqual({
      publish: {
        allow: [
          '*.test.boltzmann.>',
          'ka-presence.test.boltzmann',
          '$JS.API.CONSUMER.MSG.NEXT.KA.boltzmann',
          '$JS.ACK.KA.boltzmann.>',
          '$JS.API.DIRECT.GET.KA.ka.test.boltzmann.>',
          '$JS.API.DIRECT.GET.KA_BLOBS.ka-blob.test.boltzmann.>',
          '$JS.API.DIRECT.GET.KA_BLOBS.ka-blob.test.coordinator.>',
        ],
      },
      subscribe: ['_INBOX_boltzmann.>'],
    });
  });

  test('it syncs each write if the server can, and is refused for traffic that others can read', () => {
    expect(natsConfig(options)).not.toContain('sync_interval');
    for (const version of ['nats-server: v2.10.27\n', '2.10', '3.0.0'].map((text) => readVersion(text, 'it')))
      expect(natsConfig({ ...options, version })).toContain('"sync_interval": "always"');
    expect(() => readVersion('two', '--server-version')).toThrow(/^--server-version says "two", which is no/);
    for (const host of ['0.0.0.0', '::', '10.0.0.1', 'log.example.org', '127.0.0.1.example.org'])
      expect(() => natsConfig({ ...options, host })).toThrow(`would listen on ${host} without TLS`);
    for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) natsConfig({ ...options, host });
    const tls = { certFile: '/c.pem', keyFile: '/k.pem', caFile: '/ca.pem' };
    expect(JSON.parse(natsConfig({ ...options, host: '0.0.0.0', tls })).tls).toEqual({
      cert_file: '/c.pem',
      key_file: '/k.pem',
      ca_file: '/ca.pem',
    });
    expect(() => natsConfig({ ...options, logins: { fleet: 'test', writers: [] } })).toThrow(/no writers/);
  });
});

/** Every subject of JetStream's API, 2.9 to 2.12, for the log, the blobs, the output and an unrelated stream. */
const verbs = [
  ...['INFO', 'STREAM.NAMES', 'STREAM.LIST', 'META.LEADER.STEPDOWN', 'SERVER.REMOVE'],
  ...[
    'STREAM.TEMPLATE.NAMES',
    'STREAM.TEMPLATE.CREATE.t',
    'STREAM.TEMPLATE.INFO.t',
    'STREAM.TEMPLATE.DELETE.t',
  ],
  ...['ACCOUNT.PURGE.FLEET', 'ACCOUNT.STREAM.MOVE.FLEET.KA', 'ACCOUNT.STREAM.CANCEL_MOVE.FLEET.KA'],
  ...['KA', 'KA_BLOBS', 'KA_OUT', 'KA_PRESENCE', 'OTHER'].flatMap((stream) => [
    ...['CREATE', 'UPDATE', 'DELETE', 'PURGE', 'INFO', 'SNAPSHOT', 'RESTORE', 'MSG.GET', 'MSG.DELETE'].map(
      (verb) => `STREAM.${verb}.${stream}`,
    ),
    ...['LEADER.STEPDOWN', 'PEER.REMOVE'].map((verb) => `STREAM.${verb}.${stream}`),
    ...['CREATE', 'NAMES', 'LIST'].map((verb) => `CONSUMER.${verb}.${stream}`),
    ...['boltzmann', 'fresnel', 'own'].flatMap((consumer) => [
      ...[
        'CREATE',
        'DURABLE.CREATE',
        'INFO',
        'DELETE',
        'MSG.NEXT',
        'LEADER.STEPDOWN',
        'PAUSE',
        'UNPIN',
        'RESET',
      ].map((verb) => `CONSUMER.${verb}.${stream}.${consumer}`),
      `CONSUMER.CREATE.${stream}.${consumer}.ka.test.>`,
    ]),
    `DIRECT.GET.${stream}`,
    ...['coordinator', 'boltzmann', 'fresnel'].map(
      (writer) => `DIRECT.GET.${stream}.ka.test.${writer}.iter5.BuildSucceeded.1`,
    ),
  ]),
  ...['coordinator', 'boltzmann', 'fresnel'].map(
    (writer) => `DIRECT.GET.KA_BLOBS.ka-blob.test.${writer}.abc.0`,
  ),
].map((verb) => `$JS.API.${verb}`);

const reads = (stream: string) =>
  [
    `STREAM.INFO.${stream}`,
    `CONSUMER.INFO.${stream}.boltzmann`,
    `CONSUMER.INFO.${stream}.fresnel`,
    `CONSUMER.INFO.${stream}.own`,
    `CONSUMER.CREATE.${stream}.own`,
    `CONSUMER.CREATE.${stream}.own.ka.test.>`,
    `CONSUMER.MSG.NEXT.${stream}.own`,
    `CONSUMER.DELETE.${stream}.own`,
  ].map((verb) => `$JS.API.${verb}`);
const readsBlobsOf = (writer: string) => `$JS.API.DIRECT.GET.KA_BLOBS.ka-blob.test.${writer}.abc.0`;
const readsLog = [
  ...reads('KA'),
  ...['coordinator', 'boltzmann', 'fresnel'].map(readsBlobsOf),
  '$JS.API.DIRECT.GET.KA',
  ...['coordinator', 'boltzmann', 'fresnel'].map(
    (writer) => `$JS.API.DIRECT.GET.KA.ka.test.${writer}.iter5.BuildSucceeded.1`,
  ),
];
/** What each kind of writer may ask of JetStream. The administrator may ask for everything. */
/** No host has a consumer of the other streams: these are names like any other. */
const asNames = (stream: string) =>
  ['boltzmann', 'fresnel'].flatMap((host) => [
    `$JS.API.CONSUMER.CREATE.${stream}.${host}`,
    `$JS.API.CONSUMER.CREATE.${stream}.${host}.ka.test.>`,
    `$JS.API.CONSUMER.DELETE.${stream}.${host}`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.${host}`,
  ]);
const mayAsk: Record<Exclude<Writer, 'admin' | 'fresnel' | 'boltzmann before'>, string[]> = {
  boltzmann: [
    '$JS.API.CONSUMER.MSG.NEXT.KA.boltzmann',
    '$JS.API.DIRECT.GET.KA.ka.test.boltzmann.iter5.BuildSucceeded.1',
    ...['boltzmann', 'coordinator'].map(readsBlobsOf),
  ],
  coordinator: [
    '$JS.API.STREAM.INFO.KA_PRESENCE',
    ...readsLog,
    ...['boltzmann', 'fresnel'].flatMap((host) => [
      `$JS.API.CONSUMER.CREATE.KA.${host}`,
      `$JS.API.CONSUMER.CREATE.KA.${host}.ka.test.>`,
      `$JS.API.CONSUMER.DELETE.KA.${host}`,
    ]),
  ],
  keeper: [...['KA', 'KA_BLOBS', 'KA_OUT'].flatMap(reads), ...asNames('KA_BLOBS'), ...asNames('KA_OUT')],
  [person]: [
    ...readsLog,
    ...reads('KA_OUT'),
    '$JS.API.STREAM.INFO.KA_PRESENCE',
    '$JS.API.STREAM.MSG.GET.KA_PRESENCE',
    ...asNames('KA_OUT'),
  ],
};

describe('a fleet', () => {
  let server: NatsServer;
  let admin: NatsConnection;
  let boltzmann: NatsConnection;
  let coordinator: NatsConnection;
  let lars: NatsConnection;

  beforeAll(async () => {
    server = await startNatsServer({ folder: join(scratch, 'fleet'), logins });
    cleanUp.push(() => server.stop());
    admin = await connectAs(server, 'admin');
    await provision(admin, 'test', ['boltzmann', 'fresnel'], LogLimits.parse({}));
    [boltzmann, coordinator, lars] = await Promise.all([
      connectAs(server, 'boltzmann'),
      connectAs(server, 'coordinator'),
      connectAs(server, person),
    ]);
  });

  test('an unknown key is not let in, and neither is a client without a key', async () => {
    const keyFile = join(scratch, 'stranger.nkey');
    writeFileSync(keyFile, generateWriterKey());
    await expect(connectNats({ servers: [server.url], keyFile, name: 'boltzmann' })).rejects.toThrow(
      /Authorization Violation/i,
    );
    await expect(connect({ servers: [server.url], reconnect: false })).rejects.toThrow(
      /Authorization Violation/i,
    );
  });

  test('a host publishes its own events and output, and nobody else’s', async () => {
    expect(await publishes(boltzmann, 'ka.test.boltzmann.iter5.BuildSucceeded.1')).toBe(true);
    expect(await publishes(boltzmann, 'ka-out.test.boltzmann.iter5.build.1')).toBe(true);
    expect(await publishes(boltzmann, 'ka-blob.test.boltzmann.abc.0')).toBe(true);
    expect(await publishes(boltzmann, 'ka-presence.test.boltzmann')).toBe(true);
    const before = await connectAs(server, 'boltzmann before');
    expect(await publishes(before, 'ka.test.boltzmann.iter5.BuildSucceeded.2')).toBe(true);
    const forged = [
      'ka.test.fresnel.iter5.SweepSucceeded.1',
      'ka.test.coordinator.iter5.BuildRequested.1.boltzmann',
      'ka.test.@lars.iter5.ReviewApproved.1',
      'ka-out.test.fresnel.iter5.sweep.1',
      'ka-presence.test.fresnel',
      'ka-blob.test.fresnel.abc.0',
      'ka-blob.test.coordinator.abc.0',
      'ka.other.boltzmann.iter5.BuildSucceeded.1',
    ];
    for (const connection of [boltzmann, before]) {
      const { publish } = await refusedWhile(connection, () => {
        for (const subject of forged) connection.publish(subject);
      });
      expect([...publish]).toEqual(forged);
    }
  });

  test('the coordinator and a person publish only their own events', async () => {
    expect(await publishes(coordinator, 'ka.test.coordinator.iter5.SweepRequested.1.fresnel')).toBe(true);
    expect(await publishes(lars, 'ka.test.@lars.iter5.ReviewApproved.1')).toBe(true);
    expect(await publishes(coordinator, 'ka-blob.test.coordinator.abc.1')).toBe(true);
    expect(await publishes(lars, 'ka-blob.test.@lars.abc.0')).toBe(true);
    for (const [connection, forged] of [
      [
        coordinator,
        [
          'ka.test.@lars.iter5.ReviewApproved.2',
          'ka.test.boltzmann.iter5.BuildSucceeded.3',
          'ka-blob.test.@lars.abc.1',
        ],
      ],
      [
        lars,
        [
          'ka.test.coordinator.iter5.BuildRequested.1.boltzmann',
          'ka.test.@other.iter5.ReviewApproved.1',
          'ka-blob.test.boltzmann.abc.1',
        ],
      ],
    ] as const) {
      const { publish } = await refusedWhile(connection, () => {
        for (const subject of forged) connection.publish(subject);
      });
      expect([...publish]).toEqual(forged);
    }
  });

  test.each(Object.entries(mayAsk))('of JetStream’s API, %s may use only this', async (name, may) => {
    const connection = await connectAs(server, name as Writer);
    const { publish } = await refusedWhile(connection, () => {
      for (const subject of verbs) connection.publish(subject, 'no request');
    });
    expect(verbs.filter((subject) => !publish.has(subject)).sort()).toEqual([...may].sort());
  });

  test('nobody hears another’s replies or events, or publishes to the system’s account', async () => {
    const deaf = [
      ...['coordinator', person, 'fresnel', 'admin'].map((other) => `_INBOX_${other}.>`),
      '_INBOX.>',
      '*.test.boltzmann.>',
      'ka.test.>',
      'ka-out.test.>',
      'ka-presence.>',
      'ka-blob.test.>',
      '$JS.>',
      '$SYS.>',
      '>',
    ];
    const mute = [
      '$SYS.REQ.SERVER.PING',
      '$SYS.REQ.USER.INFO',
      '$SYS.REQ.ACCOUNT.PING.CONNZ',
      '_INBOX_fresnel.x',
    ];
    for (const [own, connection] of [
      ['boltzmann', boltzmann],
      ['coordinator', coordinator],
      [person, lars],
      ['admin', admin],
    ] as const) {
      const silent = deaf.filter((subject) => subject !== `_INBOX_${own}.>`);
      const { publish, subscription } = await refusedWhile(connection, () => {
        for (const subject of mute) connection.publish(subject);
        for (const subject of silent) connection.subscribe(subject, { callback: () => undefined });
      });
      expect([own, ...publish]).toEqual([own, ...mute]);
      expect([own, ...subscription]).toEqual([own, ...silent]);
      expect(await excessRights(connection, 'test')).toEqual(
        own === 'admin' ? ['publish to $JS.API.STREAM.NAMES', 'publish to $JS.API.INFO'] : [],
      );
    }
  });

  test('a host pulls its own requests', async () => {
    await publishes(coordinator, 'ka.test.coordinator.iter5.BuildRequested.1.boltzmann');
    for await (const message of pullMessages(boltzmann, 'boltzmann', 1, AbortSignal.timeout(5_000))) {
      if (message === 'nothing now') continue;
      expect(message.subject).toBe('ka.test.coordinator.iter5.BuildRequested.1.boltzmann');
      await message.ack();
      break;
    }
    const manager = await admin.jetstreamManager();
    expect((await manager.consumers.info('KA', 'boltzmann')).num_ack_pending).toBe(0);
  });

  test('a host reads its own events back', async () => {
    const get = '$JS.API.DIRECT.GET.KA.ka.test.boltzmann';
    expect(await asks(boltzmann, `${get}.iter5.BuildSucceeded.1`)).toBe('x');
    expect(await asks(boltzmann, `${get}.>`)).toBe('x');
  });

  test('a host can’t make the server publish under a subject that it may not use itself', async () => {
    const manager = await admin.jetstreamManager();
    const states = async () =>
      Promise.all(['KA', 'KA_OUT'].map(async (name) => (await manager.streams.info(name)).state));
    const own = 'ka.test.boltzmann.iter5.BuildSucceeded.1';
    await publishes(boltzmann, 'ka-out.test.boltzmann.iter5.build.1');
    const before = await states();
    const answeredBy = [
      own,
      `$JS.API.DIRECT.GET.KA.${own}`,
      '$JS.API.CONSUMER.MSG.NEXT.KA.boltzmann',
      '$JS.ACK.KA.boltzmann.1.1.1.1.0',
      'ka-out.test.boltzmann.x.y.z',
      'ka-blob.test.boltzmann.abc.9',
      '$JS.API.DIRECT.GET.KA_BLOBS.ka-blob.test.boltzmann.abc.0',
    ];
    for (const subject of answeredBy)
      for (const reply of [
        'ka.test.coordinator.iter5.InstallRequested.1.fresnel',
        '$JS.API.STREAM.PURGE.KA_OUT',
        '$JS.API.STREAM.DELETE.KA',
      ])
        boltzmann.publish(subject, '', { reply });
    await boltzmann.flush();
    await coordinator.flush();
    await new Promise((settled) => setTimeout(settled, 300));
    const [log, output] = await states();
    // Only what it published in its own name is there.
    expect(log?.last_seq).toBe((before[0]?.last_seq ?? 0) + 3);
    expect(output?.messages).toBe((before[1]?.messages ?? 0) + 3);
    expect(
      await asks(coordinator, '$JS.API.DIRECT.GET.KA.ka.test.coordinator.iter5.InstallRequested.1.fresnel'),
    ).toBe('');
  });

  test('the coordinator hears the hosts’ presence', async () => {
    const subscription = coordinator.subscribe('ka-presence.test.*', { max: 1, timeout: 2000 });
    await coordinator.flush();
    boltzmann.publish('ka-presence.test.boltzmann', 'here');
    for await (const message of subscription) expect(message.string()).toBe('here');
  });

  test('the server’s config holds no secret', () => {
    const text = readFileSync(join(scratch, 'fleet', 'nats-server.conf'), 'utf8');
    for (const writer of writers) expect(text).not.toContain(seeds[writer].trim());
  });

  afterEach(() => expect(boltzmann.isClosed()).toBe(false));
});

test('acknowledged messages are there after a kill and a restart, on the same port', async () => {
  const server = await startNatsServer({ folder: join(scratch, 'killed'), logins });
  cleanUp.push(() => server.stop());
  const admin = await connectAs(server, 'admin');
  await provision(admin, 'test', ['boltzmann'], LogLimits.parse({}));
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
