import { headers, type MsgHdrs, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noIteration } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { type LogServer, person, startLogServer, until } from '../../test/log-server.ts';
import { signatureHeader } from '../signing/check-event.ts';
import { logManager, outputStream, presenceStream, provision } from '../stream/provision.ts';
import { sayKeeping } from './keeping.ts';
import { createOutputs, type OutputLine, type OutputReports, readOutput } from './output.ts';
import {
  createSayPresent,
  lastPresences,
  listenForPresence,
  type Presence,
  type RefusedPresence,
  silenceOf,
} from './presence.ts';

const fleet = 'test';
let log: LogServer;
let host: NatsConnection;
let reader: NatsConnection;

beforeAll(async () => {
  log = await startLogServer(fleet, ['boltzmann', 'fresnel'], { hasKeeper: true });
  host = await log.connect('boltzmann');
  reader = await log.connect(person);
});
afterAll(() => log.stop());

/** The outputs of one run of boltzmann's agent. */
const outputs = (after = 1, connected: () => NatsConnection | undefined = () => host) =>
  createOutputs({ fleet, host: 'boltzmann', key: log.key('boltzmann'), connected, after: () => after });
const writer = (iteration: string, step: StepName = 'build', attempt = 1) =>
  outputs()({ iteration, step, attempt });

/** What a person is shown of an iteration. */
const shown = async (iteration: string, step?: string, isAsked?: OutputReports['isAsked']) => {
  await host.flush();
  const lines: OutputLine[] = [];
  const refused: string[] = [];
  const missing: string[] = [];
  await readOutput(
    reader,
    log.trust,
    { iteration, ...(step === undefined ? {} : { step }) },
    {
      onRefused: ({ cause }) => void refused.push(cause),
      onMissing: ({ first, last }) => void missing.push(`${first} to ${last}`),
      ...(isAsked && { isAsked }),
    },
    (line) => void lines.push(line),
  );
  return { lines: lines.map(({ line }) => line), from: lines[0], refused, missing };
};

/** A message that the stream holds, as whoever has the server can copy it. */
const stored = async (subject: string): Promise<{ data: Uint8Array; headers: MsgHdrs }> => {
  await host.flush();
  const manager = await logManager(await log.connect('admin'));
  const { data, header } = await manager.streams.getMessage(outputStream, { last_by_subj: subject });
  return { data, headers: header };
};

describe('output', () => {
  it('is read from its first line on, its lines no longer than a person reads', async () => {
    const { write, end } = writer('iter1');
    write('one');
    write('x'.repeat(5_000_000));
    end();
    host.publish(`ka-out.${fleet}.boltzmann.iter1.build.1`, 'no JSON');
    const other = writer('iter1', 'land');
    other.write('of another step');
    other.end();
    const { lines, from, refused } = await shown('iter1', 'build');
    expect(lines).toEqual(['one', 'x'.repeat(4_000)]);
    expect(from).toMatchObject({ host: 'boltzmann', step: 'build', attempt: 1 });
    expect(refused).toEqual(['signature']);
    expect(await shown('iter1', 'sweep')).toMatchObject({ lines: [], refused: [] });
  });

  it('is sent in few messages, soon', async () => {
    const manager = await logManager(reader);
    const before = (await manager.streams.info(outputStream)).state.last_seq;
    const { write } = writer('iter2');
    for (let n = 0; n < 5_000; n += 1) write(`line ${n}`);
    const { lines } = await until(async () => {
      const seen = await shown('iter2');
      return seen.lines.length === 5_000 ? seen : undefined;
    });
    expect(lines.at(-1)).toBe('line 4999');
    expect((await manager.streams.info(outputStream)).state.last_seq - before).toBeLessThanOrEqual(6);
  });

  it('goes on where it was when a step is tried again, and from 1 when the agent was started again', async () => {
    const of = { iteration: 'iter3', step: 'build', attempt: 1 } as const;
    const first = outputs(7);
    for (const line of ['a', 'b']) {
      const { write, end } = first(of);
      write(line);
      end();
    }
    const again = outputs(8)(of);
    again.write('c');
    again.end();
    expect(await shown('iter3')).toMatchObject({ lines: ['a', 'b', 'c'], refused: [], missing: [] });
  });

  it('tells which lines were not kept', async () => {
    let isConnected = false;
    const { write, end } = outputs(1, () => (isConnected ? host : undefined))({
      ...{ iteration: 'iter4', step: 'build', attempt: 1 },
    });
    write('lost');
    write('lost as well');
    end();
    isConnected = true;
    write('there');
    end();
    expect(await shown('iter4')).toMatchObject({ lines: ['there'], missing: ['1 to 2'] });
  });

  it('is not shown under another subject, again, or before what came before it', async () => {
    const at = (attempt: number) => `ka-out.${fleet}.boltzmann.iter5.build.${attempt}`;
    const first = writer('iter5');
    first.write('one');
    first.end();
    const one = await stored(at(1));
    first.write('two');
    first.end();
    host.publish(at(1), one.data, { headers: one.headers });
    host.publish(at(2), one.data, { headers: one.headers });
    host.publish(at(1).replace('iter5', 'iter6'), one.data, { headers: one.headers });
    expect(await shown('iter5')).toMatchObject({ lines: ['one', 'two'], refused: ['order', 'place'] });
    expect(await shown('iter6')).toMatchObject({ lines: [], refused: ['place'] });
  });

  it('is not shown if another kind of message, or another writer, has signed it', async () => {
    const subject = `ka-out.${fleet}.boltzmann.iter7.build.1`;
    const first = writer('iter7');
    first.write('one');
    first.end();
    const { data } = await stored(subject);
    const say = (signature: string) => {
      const head = headers();
      head.set(signatureHeader, signature);
      host.publish(subject, data, { headers: head });
    };
    const { event, presence, output } = {
      event: 'application/vnd.kernel-agent.event.v1+json',
      presence: 'application/vnd.kernel-agent.presence.v1+json',
      output: 'application/vnd.kernel-agent.output.v1+json',
    } as const;
    say(log.key('boltzmann').sign(event, data));
    say(log.key('boltzmann').sign(presence, data));
    say(log.key('fresnel').sign(output, data));
    expect(await shown('iter7')).toMatchObject({
      ...{ lines: ['one'], refused: ['signature', 'signature', 'signature'] },
    });
  });

  it('of a host that is not asked is not shown', async () => {
    const { write, end } = writer('iter8');
    write('x');
    end();
    const isAsked = ({ host: of }: { host: string }) => of === 'fresnel';
    expect(await shown('iter8', 'build', isAsked)).toMatchObject({ lines: [], refused: ['writer'] });
  });

  it('is followed from now on, also after the server was lost', async () => {
    const { write } = writer('iter9');
    write('long ago');
    await until(async () => (await shown('iter9')).lines.length > 0);
    const stop = new AbortController();
    const lines: string[] = [];
    const following = readOutput(
      reader,
      log.trust,
      { iteration: 'iter9' },
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
    expect(new Set(lines.filter((line) => !line.startsWith('lost')))).toEqual(new Set(['before', 'after']));
  });

  it('never fails, without a server or a connection', async () => {
    const closed = await log.connect('boltzmann');
    await closed.close();
    for (const connected of [() => undefined, () => closed]) {
      const { write, end } = outputs(1, connected)({ iteration: 'iter10', step: 'build', attempt: 1 });
      write('x');
      end();
    }
  });
});

describe('presence', () => {
  const presence = (): Presence => ({
    host: 'boltzmann',
    role: 'builder',
    time: new Date().toISOString(),
    bootId: 'b',
    release: 'r',
    package: null,
    running: null,
    unsent: 0,
  });
  const subject = `ka-presence.${fleet}.boltzmann`;
  const runOf = (name = 'boltzmann') => createSayPresent({ fleet, key: log.key(name) });

  it('is heard, except for rubbish, for what is not signed by its host, and for what comes again', async () => {
    const heard: Presence[] = [];
    const refused: RefusedPresence[] = [];
    const listener = await log.connect('coordinator');
    const taken: { data: Uint8Array; headers: MsgHdrs | undefined }[] = [];
    const copying = listener.subscribe(subject, {
      callback: (_, { data, headers: head }) => void taken.push({ data, headers: head }),
    });
    const stop = listenForPresence(
      listener,
      log.trust,
      (one) => heard.push(one),
      (one) => refused.push(one),
    );
    await listener.flush();
    const say = runOf();
    const [first, second] = [presence(), { ...presence(), unsent: 2 }];
    say(host, first);
    await until(() => taken.length > 0);
    sayKeeping(await log.connect('keeper'), { fleet, key: log.key('keeper') }, []);
    host.publish(subject, 'no JSON');
    runOf('fresnel')(host, first);
    say(host, second);
    const [copy] = taken;
    host.publish(subject, copy?.data, copy?.headers && { headers: copy.headers });
    runOf()(host, { ...presence(), unsent: 3 }); // the agent was started again
    host.publish(subject, copy?.data, copy?.headers && { headers: copy.headers });
    await until(() => heard.length + refused.length >= 7);
    stop();
    copying.unsubscribe();
    expect(heard.map(({ unsent }) => unsent)).toEqual([0, 2, 3]);
    expect(heard[0]).toEqual(first);
    expect(refused.map(({ cause }) => cause)).toEqual(['signature', 'signature', 'order', 'order']);
    expect(await listener.rtt()).toBeGreaterThanOrEqual(0); // it still reads
  });

  it('is kept only as the last one of each host', async () => {
    const say = runOf();
    for (let n = 0; n < 5; n += 1) say(host, { ...presence(), unsent: n });
    await host.flush();
    const manager = await logManager(reader);
    const { state } = await manager.streams.info(presenceStream, {
      subjects_filter: `ka-presence.${fleet}.*`,
    });
    expect(state.subjects).toMatchObject({ [subject]: 1 });
    const { seen, refused } = await lastPresences(reader, log.trust, ['boltzmann', 'fresnel']);
    expect([...seen.keys()]).toEqual(['boltzmann']);
    expect(seen.get('boltzmann')).toMatchObject({ unsent: 4, storedAt: expect.any(String) });
    expect(refused).toEqual([]);
  });

  it('in whose place stands something else is refused', async () => {
    host.publish(subject, JSON.stringify(presence()));
    await host.flush();
    const { seen, refused } = await lastPresences(reader, log.trust, ['boltzmann']);
    expect(seen.size).toBe(0);
    expect(refused).toMatchObject([{ host: 'boltzmann', cause: 'signature' }]);
  });

  it('is as old as its host says, whenever the server says that it came', () => {
    const now = Date.parse('2026-05-11T08:00:00Z');
    const at = (seconds: number) => new Date(now + seconds * 1000).toISOString();
    const silence = (time: number, storedAt: number) =>
      silenceOf({ host: 'boltzmann', time: at(time), storedAt: at(storedAt) }, now);
    expect(silence(-5, -5)).toEqual({ lastSeen: at(-5), silentSeconds: 5 });
    expect(silence(-5, -900)).toEqual({ lastSeen: at(-5), silentSeconds: 5 });
    expect(silence(10, 0)).toEqual({ lastSeen: at(10), silentSeconds: 0 });
    expect(silence(-3_600, 0)).toMatchObject({ silentSeconds: 3_600, doubt: expect.stringMatching(/old/) });
    expect(silence(3_600, 0)).toMatchObject({ silentSeconds: 0, doubt: expect.stringMatching(/is ahead/) });
    const never = silenceOf({ host: 'boltzmann', time: 'once', storedAt: at(0) }, now);
    expect(never.doubt).toMatch(/is ahead/);
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
  await provision(admin, fleet, ['boltzmann', 'fresnel'], log.fleet.log);
  expect(await seen()).toEqual(before);
  expect(before[0]).toMatchObject({ deny_delete: true, deny_purge: true });
  // Not even the administrator deletes an event. Another test covers that hosts may not even ask.
  await admin.jetstream().publish(`ka.${fleet}.boltzmann.${noIteration}.Noted.1`, 'x');
  await expect(manager.streams.purge('KA')).rejects.toThrow(/purge/);
  await expect(manager.streams.deleteMessage('KA', 1)).rejects.toThrow(/delete/);
});
