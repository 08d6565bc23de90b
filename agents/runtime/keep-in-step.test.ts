import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { listenForPresence, type Presence } from '../../eventlog/live/presence.ts';
import { checkEvent, signatureHeader } from '../../eventlog/signing/check-event.ts';
import { linkTo, type SealedEvent, sealEvent } from '../../eventlog/signing/seal.ts';
import { durablePosition, nextFor, remakeDurable } from '../../eventlog/stream/durables.ts';
import { appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import { type NewEvent, noIteration } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import { type LogServer, people, person, startLogServer, until } from '../../test/log-server.ts';
import { createConnectedLog } from './connected-log.ts';
import { ReplacedAgent } from './errors.ts';
import { Journal } from './journal/journal.ts';
import { NoRoom } from './journal/no-room.ts';
import { createInStep } from './keep-in-step.ts';
import { createOutbox } from './outbox.ts';
import { systemClock } from './system-clock.ts';
import {
  recordEvidence,
  recorder,
  recordingConfig,
  recordRequest,
  startAgent,
} from './testing/recording-agent.ts';

const fleet = 'test';
const hosts = [
  'lost',
  'old',
  'corrupt',
  'contradicted',
  'offline',
  'twice',
  'tail',
  'many',
  'epoch',
  'reporter',
  'shifted',
  'full',
  'newer',
] as const;
type Host = (typeof hosts)[number];
let log: LogServer;
let coordinator: NatsConnection;
let admin: NatsConnection;
const presences = new Map<string, Presence>();
/** The hosts whose trouble is over. */
const settled = new Set<string>();
const stopTending = new AbortController();
let tending: Promise<void>;
beforeAll(async () => {
  log = await startLogServer(fleet, hosts);
  coordinator = await log.connect('coordinator');
  admin = await log.connect('admin');
  const troubled = new Set<string>();
  listenForPresence(coordinator, log.trust, (presence) => {
    presences.set(presence.host, presence);
    if (presence.trouble) troubled.add(presence.host);
    else if (troubled.has(presence.host)) settled.add(presence.host);
  });
  // Does what the coordinator does: a host whose journal is behind gets its requests again.
  const tend = async () => {
    for (const { host, position = 0, trouble } of presences.values()) {
      if (!trouble) continue;
      const [durable, next] = [
        await durablePosition(admin, host),
        await nextFor(admin, fleet, host, position),
      ];
      presences.delete(host);
      if (durable && next && next <= durable.ackedUpTo) await remakeDurable(admin, fleet, host, next);
    }
  };
  tending = (async () => {
    while (!stopTending.signal.aborted) {
      await tend().catch(() => undefined); // the log's server is killed by a test, and comes back
      await systemClock.pause(200, stopTending.signal);
    }
  })();
});
afterAll(async () => {
  stopTending.abort();
  await tending;
  await log.stop();
});

const worldOf = (host: Host) => {
  const world = join(log.folder, `${host}-world`);
  mkdirSync(world, { recursive: true });
  return world;
};
/** Counts what an attempt has done to the world. */
const lines = (host: Host, iteration: string, attempt = 1) => {
  const file = join(worldOf(host), `world.${iteration}.${attempt}`);
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
};
const start = (host: Host, stateFolder?: string, during?: Parameters<typeof recorder>[0]) =>
  startAgent(
    recordingConfig(log, { fleet, host, ...(stateFolder === undefined ? {} : { stateFolder }) }),
    recorder(during, worldOf(host)),
  );
const seal = (
  name: string,
  event: NewEvent,
  more: { epoch?: number; restored?: SignedEvent } = {},
): SealedEvent =>
  sealEvent(event, { fleet, name, key: log.key(name), ...more }, undefined, '2026-05-11T08:00:00Z');
/** A person's word that an epoch begins, as a request carries it. */
const begins = (epoch: number): SignedEvent => {
  const data = { epoch, by: people[0], rebuilt: 1, missing: 0 };
  const { bytes, signature } = seal(person, {
    type: 'LogRestored',
    iteration: noIteration,
    attempt: epoch,
    data,
  });
  return { writer: person, bytes: Buffer.from(bytes).toString('base64'), signature };
};
const asked = (host: Host, iteration: string): NewEvent => ({
  type: 'RecordRequested',
  iteration,
  attempt: 1,
  host,
  data: { host, request: recordRequest },
});
const ask = (host: Host, iteration: string, epoch?: number) =>
  appendEvent(
    coordinator,
    seal(
      'coordinator',
      asked(host, iteration),
      epoch === undefined ? {} : { epoch, restored: begins(epoch) },
    ),
  );
const written = async (host: Host) =>
  (await new EventLog(coordinator, log.trust).read()).events.filter(({ event }) => event.source === host);
const types = async (host: Host) =>
  (await written(host)).map(({ event }) => `${event.iteration} ${event.type} ${event.attempt}`);
const answered = (host: Host, iteration: string) =>
  until(async () =>
    (await written(host)).map(({ event }) => event).find((event) => event.iteration === iteration),
  );
/** Each of the host's events continues the count of the one before and links to it. */
const expectChain = async (host: Host) => {
  const events = await written(host);
  expect(events.map(({ event }) => event.writerseq)).toEqual(events.map((_, index) => index + 1));
  for (const [index, { event }] of events.entries())
    expect(event.prevhash).toBe(
      index === 0 ? undefined : sha256(events[index - 1]?.bytes ?? new Uint8Array()),
    );
};
const stateOf = (host: Host) => join(log.folder, host);
const journalFiles = (host: Host) =>
  readdirSync(stateOf(host)).filter((name) => name.startsWith('journal.db'));
/**
 * What keeps a host's journal in step, without its agent. The running attempt ends at the third call of `setWorkAside`.
 */
const inStepOf = (host: Host, journal: Journal) => {
  const troubles: (string | null)[] = [];
  const asides: string[] = [];
  const controller = new AbortController();
  const outbox = createOutbox({
    journal,
    log: () => undefined,
    clock: systemClock,
    signal: controller.signal,
    writer: { fleet, name: host, keyFor: () => log.key(host) },
    onTrouble: () => undefined,
  });
  const inStep = createInStep({
    fleet,
    host,
    check: (message) => checkEvent(log.trust, message),
    clock: systemClock,
    journal,
    journalFile: join(stateOf(host), 'journal.db'),
    outbox,
    durable: { hasHandedAll: () => false },
    trouble: { set: (_kind, sentence) => void troubles.push(sentence), now: () => null },
    report: async () => undefined,
    setWorkAside: () => {
      asides.push(inStep.maySend() ? 'compared' : 'not compared');
      return asides.length > 2;
    },
    say: () => undefined,
    hasStarted: () => false,
    onInStep: () => undefined,
    signal: controller.signal,
  });
  return { inStep, journal, outbox, troubles, asides, stop: () => controller.abort() };
};
const removeJournal = (host: Host) => {
  for (const name of journalFiles(host)) rmSync(join(stateOf(host), name));
};

it('a lost journal is rebuilt from the log; an attempt without a known outcome has failed, and is not run again', async () => {
  const first = start('lost');
  await ask('lost', 'iter1');
  await answered('lost', 'iter1');
  await first.stop();
  await ask('lost', 'iter2'); // nobody knows whether it was begun
  removeJournal('lost');
  const again = start('lost');
  const event = await answered('lost', 'iter2');
  expect(event).toMatchObject({
    type: 'RecordFailed',
    causationid: 'coordinator/iter2.RecordRequested.1',
    data: { fault: 'host', begun: ['unknown'], reason: expect.stringMatching(/^lost's journal was lost/) },
  });
  await ask('lost', 'iter3');
  await answered('lost', 'iter3');
  await again.stop();
  expect(['iter1', 'iter2', 'iter3'].map((iteration) => lines('lost', iteration))).toEqual([1, 0, 1]);
  expect(await types('lost')).toEqual([
    '_ AgentStarted 1',
    'iter1 RecordSucceeded 1',
    '_ AgentStarted 2',
    'iter2 RecordFailed 1',
    'iter3 RecordSucceeded 1',
  ]);
  await expectChain('lost');
  const journal = new Journal(join(stateOf('lost'), 'journal.db'));
  expect(journal.outbox.list('sent').map(({ seq }) => seq)).toEqual([5, 4, 3, 2, 1]);
  expect(journal.marks.lacksFrom()).toBeUndefined();
  journal.close();
});

it('an old copy of a journal gets what it lacks from the log', async () => {
  const first = start('old');
  await ask('old', 'iter1');
  await answered('old', 'iter1');
  await first.stop();
  const copy = join(log.folder, 'old-copy');
  cpSync(join(stateOf('old'), 'journal.db'), copy);
  const second = start('old');
  await ask('old', 'iter2');
  await answered('old', 'iter2');
  await second.stop();
  removeJournal('old');
  cpSync(copy, join(stateOf('old'), 'journal.db'));
  const again = start('old');
  await until(() => settled.has('old'));
  await ask('old', 'iter3');
  await answered('old', 'iter3');
  await again.stop();
  expect(await types('old')).toEqual([
    '_ AgentStarted 1',
    'iter1 RecordSucceeded 1',
    '_ AgentStarted 2',
    'iter2 RecordSucceeded 1',
    '_ AgentStarted 3',
    'iter3 RecordSucceeded 1',
  ]);
  expect(lines('old', 'iter2')).toBe(1);
  await expectChain('old');
});

it.each(['a broken page', 'no database at all'])(
  'a journal that is corrupt (%s) is moved aside',
  async (how) => {
    const iteration = how === 'a broken page' ? 'iter1' : 'iter2';
    const first = start('corrupt');
    await ask('corrupt', iteration);
    await answered('corrupt', iteration);
    await first.stop();
    const file = join(stateOf('corrupt'), 'journal.db');
    const bytes = readFileSync(file);
    if (how === 'a broken page') bytes.fill(0xff, 4096);
    writeFileSync(file, how === 'a broken page' ? bytes : 'no database');
    const again = start('corrupt');
    await ask('corrupt', `${iteration}b`);
    await answered('corrupt', `${iteration}b`);
    await again.stop();
    expect(journalFiles('corrupt')).toContain(`journal.db.corrupt-${how === 'a broken page' ? 1 : 2}`);
    expect(lines('corrupt', iteration)).toBe(1);
    await expectChain('corrupt');
  },
);

it('a host whose journal the log contradicts stops working and reports it', async () => {
  const first = start('contradicted');
  await ask('contradicted', 'iter1');
  await answered('contradicted', 'iter1');
  await first.stop();
  // The state that an old copy would leave after work without the log.
  removeJournal('contradicted');
  const journal = new Journal(join(stateOf('contradicted'), 'journal.db'));
  const other = seal('contradicted', {
    type: 'RecordFailed',
    iteration: 'iter1',
    attempt: 1,
    data: { fault: 'host', reason: 'it went otherwise', output: [], begun: [] },
  });
  journal.outbox.note(other);
  journal.close();
  const again = start('contradicted');
  await ask('contradicted', 'iter2');
  const said = await until(() => {
    const trouble = presences.get('contradicted')?.trouble;
    return trouble?.includes('another') ? trouble : undefined;
  });
  expect(said).toMatch(
    /^the log holds another ka.test.contradicted.iter1.RecordSucceeded.1 .*move its journal.db aside/,
  );
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await again.stop();
  expect(await types('contradicted')).toEqual(['_ AgentStarted 1', 'iter1 RecordSucceeded 1']);
  expect(lines('contradicted', 'iter2')).toBe(0);
  // After a restart it does not go on without the log either.
  const held = inStepOf('contradicted', new Journal(join(stateOf('contradicted'), 'journal.db')));
  expect(held.inStep.isHeld()).toBe(true);
  expect(held.troubles).toEqual([expect.stringMatching(/^the log contradicted this journal/)]);
  held.journal.close();
});

it('a contradiction that is gone at the next comparison holds nothing up', async () => {
  mkdirSync(stateOf('newer'), { recursive: true });
  const before = new Journal(join(stateOf('newer'), 'journal.db'));
  before.marks.noteContradiction();
  before.close();
  const agent = start('newer');
  await ask('newer', 'iter1');
  await answered('newer', 'iter1');
  // A request of a later coordinator is no work for this version, but the position still moves past it.
  const unknown = { ...asked('newer', 'iter2'), type: 'WonderRequested' } as unknown as NewEvent;
  const { sequence } = (await appendEvent(coordinator, seal('coordinator', unknown))) as { sequence: number };
  const manager = await admin.jetstreamManager();
  await until(async () => (await manager.consumers.info('KA', 'newer')).ack_floor.stream_seq >= sequence);
  await agent.stop();
  const journal = new Journal(join(stateOf('newer'), 'journal.db'));
  expect(journal.marks.isContradicted()).toBe(false);
  expect(journal.marks.position()).toBe(sequence);
  journal.close();
});

it('a host’s own report is not contradicted by another one after its journal was lost', async () => {
  const reporter = (bootId: string) =>
    startAgent(recordingConfig(log, { fleet, host: 'reporter' }), {
      ...recorder(undefined, worldOf('reporter')),
      report: async () => ({
        // A builder normally has nothing to report; this event is one that it may write.
        type: 'BuildFailed',
        iteration: 'iter1',
        attempt: 1,
        data: { fault: 'host', reason: bootId, output: [], begun: [] },
      }),
    });
  const first = reporter('boot-1');
  await ask('reporter', 'iter0');
  await answered('reporter', 'iter0');
  await first.stop();
  removeJournal('reporter');
  const again = reporter('boot-2');
  await until(() => settled.has('reporter'));
  await ask('reporter', 'iter2');
  await answered('reporter', 'iter2');
  await again.stop();
  expect(await types('reporter')).toEqual([
    '_ AgentStarted 1',
    'iter1 BuildFailed 1',
    'iter0 RecordSucceeded 1',
    '_ AgentStarted 2',
    'iter2 RecordSucceeded 1',
  ]);
  await expectChain('reporter');
});

it('if another journal of the host has written the same fact further on, its chain goes on from there', async () => {
  const first = start('shifted');
  await ask('shifted', 'iter1');
  await answered('shifted', 'iter1');
  await first.stop();
  const outcome = (iteration: string): NewEvent => ({
    type: 'RecordSucceeded',
    iteration,
    attempt: 1,
    causationid: `coordinator/${iteration}.RecordRequested.1`,
    data: { evidence: recordEvidence, seconds: 1 },
  });
  const data = { role: 'builder', version: '1', bootId: 'boot-1', release: '7.0.0', package: null };
  const elsewhere = await log.connect('shifted');
  const writer = { fleet, name: 'shifted', key: log.key('shifted') };
  for (const event of [
    { type: 'AgentStarted', iteration: noIteration, attempt: 2, data } as const,
    outcome('iter2'),
  ]) {
    const last = (await written('shifted')).at(-1);
    const link = last && linkTo(last.event.writerseq, last.bytes);
    await appendEvent(elsewhere, sealEvent(event, writer, link, '2026-05-11T09:00:00Z'));
  }
  const { journal, outbox } = inStepOf('shifted', new Journal(join(stateOf('shifted'), 'journal.db')));
  for (const iteration of ['iter2', 'iter3']) {
    const { bytes } = seal('coordinator', asked('shifted', iteration));
    const request = { iteration, step: 'record', attempt: 1 } as const;
    journal.requests.note({ ...request, eventId: `coordinator/${iteration}.RecordRequested.1`, bytes });
    outbox.put(outcome(iteration), request);
  }
  journal.close();
  const again = start('shifted');
  await answered('shifted', 'iter3');
  await until(async () => (await types('shifted')).length === 6);
  await again.stop();
  expect((await types('shifted')).slice(2)).toEqual([
    '_ AgentStarted 2',
    'iter2 RecordSucceeded 1',
    'iter3 RecordSucceeded 1',
    '_ AgentStarted 3',
  ]);
  await expectChain('shifted');
});

it('a disk’s trouble is over once a write succeeds; a running attempt is ended before a lack is settled', async () => {
  const file = join(log.folder, 'full.db');
  const real = new Journal(file);
  const { inStep, journal, troubles, asides, stop } = inStepOf('full', real);
  journal.marks.limitPosition = (sequence) => {
    Reflect.deleteProperty(journal.marks, 'limitPosition');
    journal.marks.limitPosition(sequence);
    throw new NoRoom('the disk is full');
  };
  // Another journal of this host has written.
  const connection = await log.connect('full');
  await appendEvent(
    connection,
    seal('full', {
      type: 'AgentStarted',
      iteration: noIteration,
      attempt: 1,
      data: { role: 'builder', version: '1', bootId: 'b', release: '7', package: null },
    }),
  );
  const running = inStep.run(createConnectedLog(connection, { fleet, host: 'full' }));
  onTestFinished(async () => {
    stop();
    await running.catch(() => undefined);
    real.close();
  });
  await until(() => troubles.includes(null));
  expect(troubles[0]).toMatch(/make room in/);
  expect(asides.slice(0, 3)).toEqual(['not compared', 'not compared', 'not compared']);
  expect(inStep.isHeld()).toBe(true);
  stop();
  await running;
});

it('an agent stops when another one was started later with its identity; two can’t have one journal', async () => {
  const older = start('twice');
  await until(async () => (await types('twice')).length === 1);
  await expect(start('twice').ended).rejects.toThrow(
    new RegExp(`journal.db is in use by process ${process.pid}: stop that agent first`),
  );
  const newer = start('twice', join(log.folder, 'twice-elsewhere'));
  await expect(older.ended).rejects.toThrow(ReplacedAgent);
  await ask('twice', 'iter1');
  await answered('twice', 'iter1');
  await newer.stop();
  expect(await types('twice')).toEqual(['_ AgentStarted 1', '_ AgentStarted 2', 'iter1 RecordSucceeded 1']);
  expect(lines('twice', 'iter1')).toBe(1);
});

it('a request that is delivered a hundred times, or out of order, has one effect', async () => {
  const agent = start('many');
  await ask('many', 'iter1');
  await ask('many', 'iter2');
  await answered('many', 'iter2');
  await agent.stop();
  await ask('many', 'iter3');
  const { sequence: fourth } = (await ask('many', 'iter4')) as { sequence: number };
  const again = start('many');
  await remakeDurable(admin, fleet, 'many', fourth);
  await answered('many', 'iter4');
  for (const each of [
    seal('coordinator', asked('many', 'iter1')),
    seal('coordinator', asked('many', 'iter4')),
  ]) {
    const head = headers();
    head.set(signatureHeader, each.signature);
    for (let times = 1; times <= 100; times += 1)
      await admin.jetstream().publish(each.subject, each.bytes, { headers: head });
  }
  await remakeDurable(admin, fleet, 'many', 1);
  await answered('many', 'iter3');
  const manager = await admin.jetstreamManager();
  await until(async () => {
    const { num_pending, num_ack_pending } = await manager.consumers.info('KA', 'many');
    return num_pending + num_ack_pending === 0;
  });
  await again.stop();
  expect(['iter1', 'iter2', 'iter3', 'iter4'].map((iteration) => lines('many', iteration))).toEqual([
    1, 1, 1, 1,
  ]);
  const outcomes = (await types('many')).filter((type) => type.includes('Record'));
  expect(outcomes).toEqual(
    ['iter1', 'iter2', 'iter4', 'iter3'].map((iteration) => `${iteration} RecordSucceeded 1`),
  );
});

it('a request of an epoch that is over is not noted', async () => {
  const agent = start('epoch');
  await ask('epoch', 'iter1', 2);
  await answered('epoch', 'iter1');
  await ask('epoch', 'iter2');
  await ask('epoch', 'iter3', 2);
  await answered('epoch', 'iter3');
  await agent.stop();
  expect(lines('epoch', 'iter2')).toBe(0);
  expect((await answered('epoch', 'iter3')).epoch).toBe(2);
});

it('own events in the log’s lost tail are sent again, in order', async () => {
  const agent = start('tail');
  await ask('tail', 'iter1');
  await answered('tail', 'iter1');
  const store = join(log.folder, 'nats');
  await log.server.kill('SIGTERM');
  const copy = join(log.folder, 'nats-copy');
  cpSync(store, copy, { recursive: true });
  await log.server.restart();
  await until(() => coordinator.rtt().catch(() => false));
  for (const iteration of ['iter2', 'iter3']) {
    await ask('tail', iteration);
    await answered('tail', iteration);
  }
  const before = await types('tail');
  await log.server.kill('SIGKILL');
  rmSync(store, { recursive: true });
  cpSync(copy, store, { recursive: true });
  await log.server.restart();
  await until(() => coordinator.rtt().catch(() => false));
  await until(async () => (await types('tail').catch(() => [])).length >= before.length);
  await agent.stop();
  expect(await types('tail')).toEqual(before);
  await expectChain('tail');
  const journal = new Journal(join(stateOf('tail'), 'journal.db'));
  const { sequence } = (await written('tail')).at(-1) ?? { sequence: 0 };
  expect(journal.outbox.list('sent', 1)[0]?.sequence).toBe(sequence);
  expect(journal.marks.position()).toBeLessThanOrEqual(sequence);
  journal.close();
});
