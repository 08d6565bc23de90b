import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { listenForPresence, type Presence } from '../../../eventlog/live/presence.ts';
import { sealEvent } from '../../../eventlog/signing/seal.ts';
import { appendEvent, EventLog } from '../../../eventlog/stream/event-log.ts';
import { logManager } from '../../../eventlog/stream/provision.ts';
import { type LogServer, startLogServer, until } from '../../../test/log-server.ts';
import { recorder, recordingConfig, recordRequest, startAgent } from '../testing/recording-agent.ts';

const fleet = 'test';
const host = 'boltzmann';
let log: LogServer;
let coordinator: NatsConnection;
let disk: string;
let presence: Presence | undefined;
const isRoot = process.getuid?.() === 0;
beforeAll(async () => {
  log = await startLogServer(fleet, [host]);
  coordinator = await log.connect('coordinator');
  listenForPresence(coordinator, log.trust, (said) => {
    presence = said;
  });
  disk = join(log.folder, 'disk');
  mkdirSync(disk);
  if (isRoot) execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk]);
});
afterAll(async () => {
  if (isRoot) execFileSync('umount', ['--lazy', disk]);
  await log.stop();
});

const filler = () => join(disk, 'filler');
/** Fills the disk to its last page. */
const fill = () => {
  for (let left = 1; left > 0; ) {
    const { bavail, bsize } = statfsSync(disk);
    left = bavail * bsize;
    if (left === 0) return;
    writeFileSync(filler(), Buffer.alloc(left), { flag: 'a' });
  }
};
const makeRoom = () => rmSync(filler());
const ask = (iteration: string) =>
  appendEvent(
    coordinator,
    sealEvent(
      {
        type: 'RecordRequested',
        iteration,
        attempt: 1,
        host,
        data: { host, request: recordRequest },
      },
      { fleet, name: 'coordinator', key: log.key('coordinator') },
      undefined,
      '2026-05-11T08:00:00Z',
    ),
  );
const outcomes = async (iteration: string) =>
  (await new EventLog(coordinator, log.trust).read()).events
    .map(({ event }) => event)
    .filter((event) => event.iteration === iteration && event.source === host);
const lines = (iteration: string) => {
  const file = join(log.folder, `world.${iteration}.1`);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
};
const trouble = () => until(() => presence?.trouble ?? undefined);

it.runIf(isRoot)(
  'a request that can’t be noted for lack of room is neither acked nor begun; it goes on when there is room',
  async () => {
    const config = recordingConfig(log, { fleet, host, stateFolder: disk });
    const agent = startAgent(config, recorder(undefined, log.folder));
    await ask('iter1');
    await until(async () => (await outcomes('iter1'))[0]);
    fill();
    await ask('iter2');
    expect(await trouble()).toMatch(/^the journal .* can't be written .*: make room in /);
    const manager = await logManager(coordinator);
    expect((await manager.consumers.info('KA', host)).num_ack_pending).toBe(1);
    expect([lines('iter2'), await outcomes('iter2')]).toEqual(['', []]);
    makeRoom();
    const [outcome] = await until(async () => {
      const found = await outcomes('iter2');
      return found.length > 0 ? found : undefined;
    });
    expect(outcome?.type).toBe('RecordSucceeded');
    await until(() => (presence?.trouble === null ? true : undefined));
    await agent.stop();
  },
);

it.runIf(isRoot)(
  'if a disk fills up while an effect acts, the effect happens once, and its outcome comes when there is room',
  async () => {
    const config = recordingConfig(log, { fleet, host, stateFolder: disk });
    const agent = startAgent(
      config,
      recorder(async () => fill(), log.folder),
    );
    await ask('iter3');
    expect(await trouble()).toMatch(/make room in /);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect([lines('iter3'), await outcomes('iter3')]).toEqual(['line\n', []]);
    makeRoom();
    await until(async () => (await outcomes('iter3'))[0]);
    await agent.stop();
    expect(lines('iter3')).toBe('line\n');
    expect((await outcomes('iter3')).map(({ type }) => type)).toEqual(['RecordSucceeded']);
  },
);

it.runIf(isRoot)('an agent that is started on a full disk waits for room', async () => {
  fill();
  const agent = startAgent(
    recordingConfig(log, { fleet, host, stateFolder: disk }),
    recorder(undefined, log.folder),
  );
  await ask('iter4');
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(await outcomes('iter4')).toEqual([]);
  makeRoom();
  await until(async () => (await outcomes('iter4'))[0]);
  await agent.stop();
});
