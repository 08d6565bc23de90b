import { existsSync, linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { recordingConfig, recordRequest, startAgent } from '../agents/runtime/testing/recording-agent.ts';
import { makeDaemonsNextKey, rotatePersonsKey } from '../coordinator/commands/rotate-key.ts';
import { openSession } from '../coordinator/commands/session.ts';
import { runCoordinator } from '../coordinator/daemon/daemon.ts';
import { natsPorts } from '../coordinator/daemon/nats-ports.ts';
import { connectNats } from '../eventlog/connection/connect.ts';
import { readDaemonKey } from '../eventlog/signing/daemon-key.ts';
import { makeKeyFile, readKeyFile } from '../eventlog/signing/key-file.ts';
import { type SealedEvent, sealEvent } from '../eventlog/signing/seal.ts';
import { trustIn } from '../eventlog/signing/trust.ts';
import type { WriterKey } from '../eventlog/signing/writer-key.ts';
import { EventLog } from '../eventlog/stream/event-log.ts';
import { coordinator, type NewEvent, noIteration, personWriter } from '../schemas/events.ts';
import type { Fleet } from '../schemas/fleet.ts';
import { ka } from './ka.ts';
import { type LogServer, startLogServer, until } from './log-server.ts';

const fleet = 'test';
const hosts = ['boltzmann', 'fermi', 'lovelace', 'noether', 'stolen'];
let log: LogServer;
let admin: NatsConnection;
/** The fleet's file after the operator's last change. */
let pins: Fleet;
beforeAll(async () => {
  log = await startLogServer(fleet, hosts);
  admin = await log.connect('admin');
  pins = log.fleet;
});
afterAll(() => log.stop());

const pin = async (writer: string, publicKey: string) => {
  pins = await log.pin(writer, publicKey);
  await until(() => admin.rtt().catch(() => false));
};
/** Reads the whole log with the present fleet's file, or with an earlier one. */
const read = async (by = pins) => {
  const refused: string[] = [];
  const { events } = await new EventLog(admin, trustIn(by), {
    onRefused: ({ subject, why }) => refused.push(`${subject}: ${why}`),
    onAlarm: ({ subject, why }) => refused.push(`ALARM ${subject}: ${why}`),
  }).read();
  return { events, refused };
};
const typesOf = async (writer: string) =>
  (await read()).events.filter(({ event }) => event.source === writer).map(({ event }) => event.type);

/** Publishes as the administrator what the server would refuse from others. */
const smuggle = async ({ subject, bytes, signature }: SealedEvent): Promise<number> => {
  const head = headers();
  head.set('Ka-Signature', signature);
  return (await admin.jetstream().publish(subject, bytes, { headers: head })).seq;
};
const seal = (name: string, key: WriterKey, event: NewEvent) =>
  sealEvent(event, { fleet, name, key }, undefined, '2026-05-11T08:00:00Z');
const start = (attempt: number): NewEvent => ({
  type: 'AgentStarted',
  iteration: noIteration,
  attempt,
  data: { role: 'builder', version: '1', bootId: 'b', release: 'r', package: null },
});

const configOf = (host: string) => recordingConfig(log, { fleet, host });
const nextKeyOf = (host: string) =>
  makeDaemonsNextKey({
    ...{ kind: 'daemon', writer: host, keyFile: log.keyFile(host) },
    pins: { file: log.fleetFile, trust: () => trustIn(pins) },
  });
const pinnedOf = (host: string) => ({ ...configOf(host), pinnedIn: log.trustFile, writer: host });
/** Runs an agent until the log holds one more start of it. */
const runOnce = async (host: string) => {
  const before = (await typesOf(host)).length;
  const agent = startAgent(configOf(host));
  await until(async () => (await typesOf(host)).slice(before).includes('AgentStarted'));
  await agent.stop();
};

describe('a host’s key', () => {
  it('waits until the fleet’s file pins it; then the agent rotates, and the old one no longer counts', async () => {
    const old = log.key('boltzmann');
    const agent = startAgent(configOf('boltzmann'));
    await until(async () => (await typesOf('boltzmann')).length === 1);
    const made = nextKeyOf('boltzmann');
    expect(made).toMatchObject({ outcome: 'made', earlierKeys: [old.publicKey] });
    expect(nextKeyOf('boltzmann').publicKey).toBe(made.publicKey); // asked again, it is the same
    expect(statSync(made.file).mode & 0o777).toBe(0o600);
    await agent.stop();
    await runOnce('boltzmann');
    expect(readKeyFile(log.keyFile('boltzmann')).publicKey).toBe(old.publicKey);

    await pin('boltzmann', made.publicKey);
    await runOnce('boltzmann');
    expect(readKeyFile(log.keyFile('boltzmann')).publicKey).toBe(made.publicKey);
    expect(readKeyFile(`${log.keyFile('boltzmann')}.old`).publicKey).toBe(old.publicKey);
    expect(existsSync(made.file)).toBe(false);
    await runOnce('boltzmann');
    const all = ['AgentStarted', 'AgentStarted', 'KeyRotated', 'AgentStarted', 'AgentStarted'];
    expect(await typesOf('boltzmann')).toEqual(all);

    await smuggle(seal('boltzmann', old, start(9)));
    for (const by of [pins, log.fleet])
      expect(await read(by)).toMatchObject({
        refused: ["ka.test.boltzmann._.AgentStarted.9: its signature is not boltzmann's"],
      });
    expect(await typesOf('boltzmann')).toEqual(all);
  });

  it('is rotated once, wherever the agent is killed meanwhile, even if its journal is lost too', async () => {
    const [keyFile, old] = [log.keyFile('fermi'), log.key('fermi')];
    await runOnce('fermi');
    const { publicKey } = nextKeyOf('fermi');
    await pin('fermi', publicKey);
    linkSync(keyFile, `${keyFile}.old.part`); // killed before the old one has its name
    linkSync(keyFile, `${keyFile}.old`); // killed before the new one is in its place
    expect(readDaemonKey({ ...pinnedOf('fermi'), trust: trustIn(pins) }, () => undefined)).toMatchObject({
      key: { publicKey },
      former: { publicKey: old.publicKey },
    }); // killed before it was journalled
    expect(existsSync(`${keyFile}.old.part`)).toBe(false);
    await runOnce('fermi');
    rmSync(join(configOf('fermi').stateFolder, 'journal.db'));
    await runOnce('fermi');
    await runOnce('fermi');
    expect(await typesOf('fermi')).toEqual([
      'AgentStarted',
      'KeyRotated',
      'AgentStarted',
      'AgentStarted',
      'AgentStarted',
    ]);
    expect((await read()).refused.filter((line) => line.includes('fermi'))).toEqual([]);
  });

  it('is not rotated to if it replaced another key by hand', async () => {
    const keyFile = log.keyFile('noether');
    renameSync(keyFile, `${keyFile}.older`);
    const lost = makeKeyFile(`${keyFile}.lost`);
    const { publicKey } = makeKeyFile(keyFile);
    const trust = trustIn(structuredClone(pins));
    const pinned = {
      role: 'builder' as const,
      keys: [publicKey, lost.publicKey, log.key('noether').publicKey],
    };
    const trusting = { ...trust, writers: new Map(trust.writers).set('noether', pinned) };
    const ownKey = () => readDaemonKey({ ...pinnedOf('noether'), trust: trusting }, () => undefined);
    renameSync(`${keyFile}.older`, `${keyFile}.old`);
    expect(ownKey()).toMatchObject({ key: { publicKey }, former: undefined });
    renameSync(`${keyFile}.lost`, keyFile);
    rmSync(`${keyFile}.old`);
    expect(ownKey()).toMatchObject({ key: { publicKey: lost.publicKey } });
    trusting.writers.set('noether', { ...pinned, keys: [publicKey] });
    expect(ownKey).toThrow(/pins another for noether/);
  });
});

const runDaemon = async () => {
  const said: string[] = [];
  const say = (text: string) => void said.push(text);
  const keyFile = log.keyFile(coordinator);
  const trust = trustIn(pins);
  const key = readDaemonKey({ keyFile, pinnedIn: log.fleetFile, writer: coordinator, trust }, say);
  const stop = new AbortController();
  const connection = await connectNats({ servers: [log.server.url], keyFile, name: coordinator });
  const running = runCoordinator({
    ports: natsPorts(connection, pins, say),
    fleet: pins,
    ...key,
    signal: stop.signal,
  });
  const end = async () => {
    stop.abort();
    await running;
    await connection.close();
  };
  onTestFinished(end);
  await until(() => said.some((text) => text.startsWith('follows')));
  return { said, stop: end };
};

describe('the coordinator’s key', () => {
  const asked = (iteration: string): NewEvent => ({
    type: 'RecordRequested',
    iteration,
    attempt: 1,
    host: 'lovelace',
    data: { host: 'lovelace', request: recordRequest },
  });

  it('is rotated once by the daemon; a host that has seen the new one refuses what the old one signs', async () => {
    const old = log.key(coordinator);
    const { publicKey } = nextKeyOf(coordinator);
    await (await runDaemon()).stop();
    expect(await typesOf(coordinator)).toEqual([]);
    await pin(coordinator, publicKey);
    for (const _time of [1, 2]) {
      const daemon = await runDaemon();
      await until(async () => (await typesOf(coordinator)).length === 1);
      await daemon.stop();
    }
    expect(await typesOf(coordinator)).toEqual(['KeyRotated']);

    const agent = startAgent(configOf('lovelace'));
    const outcomes = async () =>
      (await read()).events
        .filter(({ event }) => event.type === 'RecordSucceeded')
        .map(({ event }) => event.iteration);
    const key = readKeyFile(log.keyFile(coordinator));
    // Requests from before the rotation still have to be done.
    await smuggle(seal(coordinator, old, asked('iter1')));
    await until(async () => (await outcomes()).includes('iter1'));
    await smuggle(seal(coordinator, key, asked('iter2')));
    await until(async () => (await outcomes()).includes('iter2'));
    await smuggle(seal(coordinator, old, asked('iter3')));
    await smuggle(seal(coordinator, key, asked('iter4')));
    await until(async () => (await outcomes()).includes('iter4'));
    await agent.stop();
    expect(await outcomes()).toEqual(['iter1', 'iter2', 'iter4']);
  });
});

describe('a person’s key', () => {
  const config = () => {
    const file = join(log.folder, 'ka.json');
    const identities = { mfritsche: log.keyFile('@mfritsche'), architect: log.keyFile('@architect') };
    writeFileSync(
      file,
      JSON.stringify({ fleetFile: log.fleetFile, nats: { servers: [log.server.url] }, identities }),
    );
    return file;
  };
  const person = personWriter('mfritsche');

  it('is rotated by one command, which can be interrupted anywhere and repeated', async () => {
    const [keyFile, old] = [log.keyFile(person), log.key(person)];
    // Interrupted after the new key was made and before it was announced: both files are in place, and the log holds
    // nothing.
    makeKeyFile(`${keyFile}.new`);
    const { publicKey } = readKeyFile(`${keyFile}.new`);
    linkSync(keyFile, `${keyFile}.old`);
    renameSync(`${keyFile}.new`, keyFile);
    await expect(openSession(config())).rejects.toThrow(
      /if it was rotated, see: ka key rotate --as mfritsche/,
    );
    const rotated = { writer: person, publicKey, earlierKeys: [old.publicKey] };
    expect(await rotatePersonsKey(config())).toMatchObject({ ...rotated, outcome: 'rotated' });
    // Interrupted before the next steps were printed. The server knows only the old key.
    expect(await rotatePersonsKey(config())).toMatchObject({ ...rotated, outcome: 'there' });
    expect(await typesOf(person)).toEqual(['KeyRotated']);

    await pin(person, publicKey);
    const session = await openSession(config());
    await session.say(() => ({
      type: 'KeyRevoked',
      iteration: noIteration,
      attempt: 1,
      data: { writer: 'none', publicKey, by: 'mfritsche', why: 'x' },
    }));
    await session.close();
    await smuggle(
      seal(person, old, {
        type: 'KeyRotated',
        iteration: noIteration,
        attempt: 2,
        data: { publicKey: old.publicKey, proof: '' },
      }),
    );
    const { events, refused } = await read();
    expect(refused.at(-1)).toBe("ka.test.@mfritsche._.KeyRotated.2: its signature is not @mfritsche's");
    expect(events.filter(({ event }) => event.source === person)).toHaveLength(2);
  });

  it('is made, rotated and shown by `ka key`, and a host’s revoked; the private half is never printed', async () => {
    const file = config();
    const seeds = () =>
      [log.keyFile('@architect'), `${log.keyFile('@architect')}.old`].map((one) =>
        readFileSync(one, 'utf8').trim(),
      );
    const rotated = await ka(['key', 'rotate', '--as', 'architect', '--config', file]);
    const publicKey = readKeyFile(log.keyFile('@architect')).publicKey;
    expect(rotated).toMatchObject({ exitCode: 0, stderr: expect.not.stringMatching(/ALARM.*architect/) });
    expect(rotated.stdout).toContain(
      `operators.architect:\n       publicKey: ${publicKey}\n       earlierKeys: [`,
    );
    const stolen = log.key('stolen');
    await runOnce('stolen');
    const revoked = await ka(['key', 'revoke', 'stolen', '--why', 'lost on a train', '--config', file]);
    expect(revoked).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining(`${stolen.publicKey} is revoked`),
    });
    await smuggle(seal('stolen', stolen, start(9)));
    expect((await read()).refused.at(-1)).toBe(
      "ka.test.stolen._.AgentStarted.9: its signature is not stolen's",
    );
    expect(await typesOf('stolen')).toEqual(['AgentStarted']);
    const shown = await ka(['key', 'show', '--json', '--config', file]);
    const { writers } = JSON.parse(shown.stdout) as { writers: Record<string, unknown>[] };
    const of = (writer: string) => writers.find((one) => one.writer === writer);
    expect(of('fermi')).toMatchObject({ disagrees: null, earlier: [{ since: 0 }] });
    expect(of('stolen')).toMatchObject({ inUse: null, earlier: [{ revoked: true }], disagrees: /make one/ });
    expect(of('@architect')).toMatchObject({
      inUse: publicKey,
      disagrees: `pin the key in use: publicKey: ${publicKey}`,
    });
    for (const seed of seeds())
      for (const { stdout, stderr } of [rotated, revoked, shown]) expect(stdout + stderr).not.toContain(seed);
  });
});
