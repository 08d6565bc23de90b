import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers, type NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type SealedEvent, sealEvent } from '../../eventlog/signing/seal.ts';
import { appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import type { BuilderConfig } from '../../schemas/config.ts';
import type { UntypedEvent } from '../../schemas/events.ts';
import { type LogServer, startLogServer, until } from '../../test/log-server.ts';
import {
  recordEvidence,
  recorder,
  recordingConfig,
  recordRequest,
  startAgent,
} from './testing/recording-agent.ts';

const fleet = 'test';
let log: LogServer;
let coordinator: NatsConnection;
let admin: NatsConnection;
beforeAll(async () => {
  log = await startLogServer(fleet, ['boltzmann', 'fermi']);
  coordinator = await log.connect('coordinator');
  admin = await log.connect('admin');
});
afterAll(() => log.stop());

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => void unhandled.push(reason);
process.on('unhandledRejection', onUnhandled);
afterAll(() => void process.off('unhandledRejection', onUnhandled));
afterEach(() => expect(unhandled).toEqual([]));

/** One host, so one journal: a server that is killed forgets acks, and only the journal knows what was done. */
const configOf = () => recordingConfig(log, { fleet, host: 'boltzmann' });

let iterations = 0;
const nextIteration = () => `iter${++iterations}`;

const sealAs = (name: string, event: UntypedEvent): SealedEvent =>
  sealEvent(event, { fleet, name, key: log.key(name) }, undefined, '2026-05-11T08:00:00Z');
const asked = (iteration: string, changes: Partial<UntypedEvent> = {}): UntypedEvent => ({
  type: 'RecordRequested',
  iteration,
  attempt: 1,
  host: 'boltzmann',
  data: { host: 'boltzmann', request: recordRequest },
  ...changes,
});
const ask = (iteration: string) => appendEvent(coordinator, sealAs('coordinator', asked(iteration)));

/** What the log holds of an iteration, without the requests. */
const outcomes = async (iteration: string) =>
  (await new EventLog(coordinator, log.trust).read()).events
    .map(({ event }) => event)
    .filter((event) => event.iteration === iteration && event.source === 'boltzmann');
const outcomeOf = (iteration: string) => until(async () => (await outcomes(iteration))[0]);

const linesIn = (config: BuilderConfig, iteration: string) =>
  readFileSync(join(config.stateFolder, `world.${iteration}.1`), 'utf8');

it('a request becomes an outcome, and its folder is removed', async () => {
  const iteration = nextIteration();
  const config = configOf();
  const leftOver = join(config.stateFolder, 'work', 'record.iter0.1');
  mkdirSync(leftOver, { recursive: true });
  const agent = startAgent(config);
  await ask(iteration);
  const outcome = await outcomeOf(iteration);
  expect(outcome).toMatchObject({
    type: 'RecordSucceeded',
    attempt: 1,
    causationid: `coordinator/${iteration}.RecordRequested.1`,
    data: { evidence: recordEvidence },
  });
  await until(
    () => !existsSync(leftOver) && !existsSync(join(config.stateFolder, 'work', `record.${iteration}.1`)),
  );
  await agent.stop();
});

it('stopped in the middle and started again: one effect, one outcome', async () => {
  const iteration = nextIteration();
  const config = configOf();
  let begun = false;
  const cut = startAgent(
    config,
    recorder(async ({ signal }) => {
      begun = true;
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    }),
  );
  await ask(iteration);
  await until(() => begun);
  await cut.stop();
  expect(await outcomes(iteration)).toEqual([]);
  const again = startAgent(
    config,
    recorder(() => expect.unreachable()),
  );
  await outcomeOf(iteration);
  await again.stop();
  expect(linesIn(config, iteration)).toBe('line\n');
  expect(await outcomes(iteration)).toHaveLength(1);
});

it('the log is away while the step works, and while the agent starts: the outcome comes once it is back', async () => {
  const iteration = nextIteration();
  const config = configOf();
  let begun = false;
  let goOn: () => void = () => undefined;
  const works = recorder(async () => {
    begun = true;
    await new Promise<void>((resolve) => {
      goOn = resolve;
    });
    throw new Error('cut');
  });
  const cut = startAgent(config, works);
  await ask(iteration);
  await until(() => begun);
  await log.server.kill('SIGKILL');
  const stopped = cut.stop();
  goOn();
  await stopped;

  const offline = startAgent(config);
  await until(() => !existsSync(join(config.stateFolder, 'work', `record.${iteration}.1`)));
  await offline.stop(); // a stop does not wait for the log either

  const back = startAgent(config);
  await log.server.restart();
  await until(() => coordinator.rtt().catch(() => false));
  expect(await outcomeOf(iteration)).toMatchObject({ type: 'RecordSucceeded' });
  await back.stop();
  expect(linesIn(config, iteration)).toBe('line\n');
  expect(await outcomes(iteration)).toHaveLength(1);
});

it('goes on taking requests after the server was lost', async () => {
  const iteration = nextIteration();
  const config = configOf();
  const agent = startAgent(config);
  await ask(iteration);
  await outcomeOf(iteration);
  await log.server.kill('SIGKILL');
  await log.server.restart();
  await until(() => coordinator.rtt().catch(() => false));
  const next = nextIteration();
  await ask(next);
  await outcomeOf(next);
  await agent.stop();
});

it('a request that is forged, for another host, or rubbish is terminated and not acted on', async () => {
  const config = configOf();
  const good = nextIteration();
  const smuggle = async (subject: string, bytes: Uint8Array | string, signature: string) => {
    const head = headers();
    head.set('Ka-Signature', signature);
    return (await admin.jetstream().publish(subject, bytes, { headers: head })).seq;
  };
  const forged = nextIteration();
  const own = sealAs('boltzmann', asked(forged));
  const other = sealAs(
    'coordinator',
    asked(nextIteration(), { data: { host: 'fermi', request: recordRequest } }),
  );
  const role = sealAs(
    'coordinator',
    asked(nextIteration(), {
      type: 'RebootRequested',
      data: { host: 'boltzmann', request: { names: ['linux'], version: '7.0-1', release: '7.0.0' } },
    }),
  );
  await smuggle(`ka.${fleet}.coordinator.${forged}.RecordRequested.1.boltzmann`, own.bytes, own.signature);
  await smuggle(other.subject, other.bytes, other.signature);
  await smuggle(role.subject, role.bytes, role.signature);
  await smuggle(`ka.${fleet}.coordinator.iter99.RecordRequested.1.boltzmann`, 'no JSON', '');
  await ask(good);
  const agent = startAgent(config);
  await outcomeOf(good);
  const manager = await admin.jetstreamManager();
  await until(async () => (await manager.consumers.info('KA', 'boltzmann')).num_ack_pending === 0);
  await agent.stop();
  const { events } = await new EventLog(coordinator, log.trust).read();
  const answered = events.filter(({ event }) => event.source === 'boltzmann' && event.kind === 'step');
  expect(answered.at(-1)?.event.iteration).toBe(good);
  expect(answered.filter(({ event }) => event.iteration === forged)).toEqual([]);
});

it('an agent that waits for the log stops when it is told to', async () => {
  const config = configOf();
  await startAgent({ ...config, nats: { ...config.nats, servers: ['127.0.0.1:9'] } }).stop();
});
