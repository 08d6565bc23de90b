import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { coordinator } from '../../schemas/events.ts';
import { type LogServer, person, startLogServer, until } from '../../test/log-server.ts';
import { logManager, outputStream, presenceStream, provision } from '../stream/provision.ts';
import { createOutputWriter, type OutputLine, readOutput } from './output.ts';
import { lastPresences, listenForPresence, type Presence, sayPresent } from './presence.ts';

const fleet = 'test';
let log: LogServer;
let host: NatsConnection;
let reader: NatsConnection;

beforeAll(async () => {
  log = await startLogServer(fleet, ['boltzmann', 'fresnel']);
  host = await log.connect('boltzmann');
  reader = await log.connect(person);
});
afterAll(() => log.stop());

const writer = (iteration: string, step = 'build') =>
  createOutputWriter(() => host, { fleet, host: 'boltzmann', iteration, step, attempt: 1 });

describe('output', () => {
  it('is read from its first line on, its lines no longer than a person reads', async () => {
    const write = writer('iter1');
    write('one');
    write('x'.repeat(5_000_000));
    host.publish(`ka-out.${fleet}.boltzmann.iter1.build.1`, 'no JSON');
    writer('iter1', 'land')('of another step');
    await host.flush();
    const lines: OutputLine[] = [];
    await readOutput(reader, { fleet, iteration: 'iter1', step: 'build' }, {}, (line) => lines.push(line));
    expect(lines.map(({ line }) => line)).toEqual(['one', 'x'.repeat(4_000)]);
    expect(lines[0]).toMatchObject({ host: 'boltzmann', step: 'build', attempt: 1 });
    await readOutput(reader, { fleet, iteration: 'iter1', step: 'sweep' }, {}, () => expect.unreachable());
  });

  it('is followed from now on, also after the server was lost', async () => {
    const write = writer('iter2');
    write('long ago');
    await host.flush();
    const stop = new AbortController();
    const lines: string[] = [];
    const following = readOutput(
      reader,
      { fleet, iteration: 'iter2' },
      { follow: true, fromNow: true, signal: stop.signal },
      ({ line }) => lines.push(line),
    );
    const writeUntilSeen = (line: string) =>
      until(() => {
        write(line);
        return lines.includes(line);
      });
    await writeUntilSeen('before');
    await log.server.kill('SIGKILL');
    write('lost, since nobody waits for output');
    await log.server.restart();
    await writeUntilSeen('after');
    stop.abort();
    await following;
    expect(new Set(lines)).toEqual(new Set(['before', 'after']));
  });

  it('never fails, without a server or a connection', async () => {
    createOutputWriter(() => undefined, {
      fleet,
      host: 'boltzmann',
      iteration: 'iter3',
      step: 'build',
      attempt: 1,
    })('x');
    const closed = await log.connect('boltzmann');
    await closed.close();
    createOutputWriter(() => closed, {
      fleet,
      host: 'boltzmann',
      iteration: 'iter3',
      step: 'build',
      attempt: 1,
    })('x');
  });
});

describe('presence', () => {
  const presence: Presence = {
    host: 'boltzmann',
    role: 'builder',
    time: '2026-05-11T08:00:00Z',
    bootId: 'b',
    release: 'r',
    package: null,
    running: null,
    unsent: 0,
  };

  it('is heard, except for rubbish and for what one host reports about another', async () => {
    const heard: Presence[] = [];
    const listener = await log.connect(coordinator);
    const stop = listenForPresence(listener, fleet, (one) => heard.push(one));
    await listener.flush();
    host.publish(`ka-presence.${fleet}.boltzmann`, 'no JSON');
    host.publish(`ka-presence.${fleet}.boltzmann`, JSON.stringify({ ...presence, host: 'fresnel' }));
    sayPresent(host, fleet, presence);
    await until(() => heard.length > 0);
    stop();
    expect(heard).toEqual([presence]);
    expect(await listener.rtt()).toBeGreaterThanOrEqual(0); // it still reads
  });

  it('is kept only as the last one of each host, and pushes no output out of its stream', async () => {
    for (let n = 0; n < 5; n += 1) sayPresent(host, fleet, { ...presence, unsent: n });
    await host.flush();
    const manager = await logManager(reader);
    const subjects = await until(async () => {
      const { state } = await manager.streams.info(presenceStream, {
        subjects_filter: `ka-presence.${fleet}.*`,
      });
      return state.subjects?.[`ka-presence.${fleet}.boltzmann`] === 1 && state.subjects;
    });
    expect(Object.keys(subjects)).toHaveLength(1);
    const last = await lastPresences(reader, fleet, ['boltzmann', 'fresnel']);
    expect([...last]).toEqual([['boltzmann', { ...presence, unsent: 4, time: expect.any(String) }]]);
    // By the server's clock: the host's own may be years off.
    expect(Math.abs(Date.now() - Date.parse(last.get('boltzmann')?.time ?? ''))).toBeLessThan(60_000);
  });
});

it('provisioning again changes nothing', async () => {
  const admin = await log.connect('admin');
  const manager = await logManager(admin);
  const seen = async () => [
    (await manager.streams.info('KA')).config,
    (await manager.streams.info(outputStream)).config,
    (await manager.consumers.info('KA', 'boltzmann')).config,
  ];
  const before = await seen();
  await provision(admin, fleet, ['boltzmann', 'fresnel']);
  expect(await seen()).toEqual(before);
  expect(before[0]).toMatchObject({ deny_delete: true, deny_purge: true });
  // Not even the administrator deletes an event. Another test covers that hosts may not even ask.
  await admin.jetstream().publish(`ka.${fleet}.boltzmann._.Noted.1`, 'x');
  await expect(manager.streams.purge('KA')).rejects.toThrow(/purge/);
  await expect(manager.streams.deleteMessage('KA', 1)).rejects.toThrow(/delete/);
});
