import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers, type NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { appendEvent, EventLog } from '../../eventlog/event-log.ts';
import { type SealedEvent, sealEvent } from '../../eventlog/seal.ts';
import { BuilderConfig } from '../../schemas/config.ts';
import type { NewEvent } from '../../schemas/events.ts';
import { type LogServer, startLogServer, until } from '../../test/log-server.ts';
import { type RoleParts, runAgent } from './agent.ts';
import type { StepContext } from './step.ts';

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
const configOf = (): BuilderConfig => {
  const folder = join(log.folder, 'boltzmann');
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of [
    ['boot', 'boot-1'],
    ['release', '7.0.0'],
  ] as const)
    writeFileSync(join(folder, name), text);
  return BuilderConfig.parse({
    role: 'builder',
    fleet,
    host: 'boltzmann',
    nats: { servers: [log.server.url], seedFile: log.seedFile('boltzmann') },
    keyFile: log.keyFile('boltzmann'),
    coordinatorKey: log.key('coordinator').publicKey,
    stateFolder: folder,
    bootIdFile: join(folder, 'boot'),
    releaseFile: join(folder, 'release'),
    repositories: {},
    git: { author: { name: 'A', email: 'a@example.org' } },
    makepkg: { carch: 'aarch64', sourcesFolder: '/s', worktreesFolder: '/w', packager: 'A <a@example.org>' },
    offeredFolder: '/o',
  });
};

const sha1 = 'a'.repeat(40);
const request = {
  repository: 'campaign',
  branch: 'main',
  title: 'Close',
  files: [{ path: 'close.md', text: 'closed' }],
};
const evidence = {
  commit: {
    repository: 'campaign',
    branch: 'main',
    parent: sha1,
    commit: sha1,
    files: [{ path: 'close.md', sha256: 'a'.repeat(64) }],
  },
};

let iterations = 0;
const nextIteration = () => `iter${++iterations}`;

const sealAs = (name: string, event: NewEvent): SealedEvent =>
  sealEvent(event, { fleet, name, key: log.key(name) }, undefined, '2026-05-11T08:00:00Z');
const asked = (iteration: string, changes: Partial<NewEvent> = {}): NewEvent => ({
  type: 'RecordRequested',
  iteration,
  attempt: 1,
  host: 'boltzmann',
  data: { host: 'boltzmann', request },
  ...changes,
});
const ask = (iteration: string) => appendEvent(coordinator, sealAs('coordinator', asked(iteration)));

/** What the log holds of an iteration, but for the requests. */
const outcomes = async (iteration: string) =>
  (await new EventLog(coordinator, log.pinned).read()).events
    .map(({ event }) => event)
    .filter((event) => event.iteration === iteration && event.source === 'boltzmann');
const outcomeOf = (iteration: string) => until(async () => (await outcomes(iteration))[0]);

/** A builder whose one step has one effect: a line in a file. `during` runs in it, once the line is written. */
const recorder = (
  during: (context: StepContext<BuilderConfig>) => Promise<unknown> = async () => undefined,
) => ({
  steps: {
    record: async (_request: unknown, context: StepContext<BuilderConfig>) => {
      const { effect, host, key } = context;
      const world = join(host.stateFolder, `world.${key}`);
      const has = () => existsSync(world);
      await effect('line', {
        probe: () => (has() ? { happened: 'yes', result: null } : { happened: 'no' }),
        act: async () => {
          writeFileSync(world, 'line\n', { flag: 'a' });
          await during(context);
          return null;
        },
      });
      return evidence;
    },
  } satisfies RoleParts<BuilderConfig>['steps'],
});
const linesIn = (config: BuilderConfig, iteration: string) =>
  readFileSync(join(config.stateFolder, `world.${iteration}.1`), 'utf8');

const start = (config: BuilderConfig, parts: RoleParts<BuilderConfig> = recorder()) => {
  const controller = new AbortController();
  const ended = runAgent(config, parts, '1', controller.signal);
  return {
    ended,
    stop: async () => {
      controller.abort();
      await ended;
    },
  };
};

it('a request becomes an outcome, and its folder goes', async () => {
  const iteration = nextIteration();
  const config = configOf();
  const leftOver = join(config.stateFolder, 'work', 'record.iter0.1');
  mkdirSync(leftOver, { recursive: true });
  const agent = start(config);
  await ask(iteration);
  const outcome = await outcomeOf(iteration);
  expect(outcome).toMatchObject({
    type: 'RecordSucceeded',
    attempt: 1,
    causationid: `coordinator/${iteration}.RecordRequested.1`,
    data: { evidence },
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
  const cut = start(
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
  const again = start(
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
  const cut = start(config, works);
  await ask(iteration);
  await until(() => begun);
  await log.server.kill('SIGKILL');
  const stopped = cut.stop();
  goOn();
  await stopped;

  const offline = start(config);
  await until(() => !existsSync(join(config.stateFolder, 'work', `record.${iteration}.1`)));
  await offline.stop(); // a stop does not wait for the log either

  const back = start(config);
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
  const agent = start(config);
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

it('a request that is forged, or for another, or rubbish, is ended and not acted on', async () => {
  const config = configOf();
  const good = nextIteration();
  const smuggle = async (subject: string, bytes: Uint8Array | string, signature: string) => {
    const head = headers();
    head.set('Ka-Signature', signature);
    return (await admin.jetstream().publish(subject, bytes, { headers: head })).seq;
  };
  const forged = nextIteration();
  const own = sealAs('boltzmann', asked(forged));
  const other = sealAs('coordinator', asked(nextIteration(), { data: { host: 'fermi', request } }));
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
  const agent = start(config);
  await outcomeOf(good);
  const manager = await admin.jetstreamManager();
  await until(async () => (await manager.consumers.info('KA', 'boltzmann')).num_ack_pending === 0);
  await agent.stop();
  const { events } = await new EventLog(coordinator, log.pinned).read();
  const answered = events.filter(({ event }) => event.source === 'boltzmann' && event.kind === 'step');
  expect(answered.at(-1)?.event.iteration).toBe(good);
  expect(answered.filter(({ event }) => event.iteration === forged)).toEqual([]);
});

it('an agent that waits for the log stops when it is told to', async () => {
  const config = configOf();
  await start({ ...config, nats: { ...config.nats, servers: ['127.0.0.1:9'] } }).stop();
});
