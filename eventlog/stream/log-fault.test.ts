import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LoggedEvent } from '../../schemas/events.ts';
import { LogLimits } from '../../schemas/log-limits.ts';
import { type LogServer, sealedStart, startLogServer, streamFolder, until } from '../../test/log-server.ts';
import { appendEvent, EventLog } from './event-log.ts';
import { LogFault } from './log-fault.ts';
import { eventStream, logManager, provision } from './provision.ts';
import { rebuildLog } from './rebuild-log.ts';

const fleet = 'test';
let log: LogServer;
let host: NatsConnection;
let reader: NatsConnection;
beforeAll(async () => {
  log = await startLogServer(fleet, ['boltzmann']);
  host = await log.connect('boltzmann');
  reader = await log.connect('coordinator');
});
afterAll(() => log.stop());

const sealed = (attempt: number) => sealedStart(log, { fleet, host: 'boltzmann', attempt });

it('a log whose disk was lost is reported, waited for, and read from its beginning once it is rebuilt', async () => {
  for (const attempt of [1, 2, 3]) await appendEvent(host, sealed(attempt));
  const stop = new AbortController();
  const told: string[] = [];
  let seen: LoggedEvent[] = [];
  let cuts = 0;
  const following = new EventLog(reader, log.trust).follow(
    {
      signal: stop.signal,
      onTrouble: (error) => told.push(error instanceof Error ? error.message : String(error)),
      onCut: () => {
        cuts += 1;
        seen = [];
      },
    },
    (logged) => void seen.push(logged),
  );
  await until(() => seen.length === 3);
  await log.server.kill('SIGKILL');
  rmSync(streamFolder(join(log.folder, 'nats')), { recursive: true });
  await log.server.restart();
  await until(() => told.some((text) => text.includes('nats-server holds no log')));
  await expect(appendEvent(host, sealed(4))).rejects.toThrow(LogFault);
  await expect(new EventLog(reader, log.trust).read()).rejects.toThrow('next: ka log restore');

  const admin = await log.connect('admin');
  await rebuildLog(admin, { fleet, hosts: ['boltzmann'], limits: log.fleet.log }, [sealed(2), sealed(1)]);
  await until(() => seen.length === 2);
  expect(seen.map(({ event, sequence }) => [sequence, event.attempt])).toEqual([
    [1, 2],
    [2, 1],
  ]);
  expect(cuts).toBe(1);
  expect(await appendEvent(host, sealed(4))).toEqual({ outcome: 'appended', sequence: 3 });
  await until(() => seen.length === 3);
  stop.abort();
  await following;
});

it('a log that is being restored accepts nothing, and is known to be incomplete', async () => {
  const admin = await log.connect('admin');
  const manager = await admin.jetstreamManager();
  await manager.streams.update('KA', { subjects: [sealed(9).subject] });
  await expect(appendEvent(host, sealed(5))).rejects.toThrow('being restored');
  await expect(new EventLog(reader, log.trust).read()).rejects.toThrow('being restored');
  await manager.streams.update('KA', { subjects: [`ka.${fleet}.>`] });
  expect((await new EventLog(reader, log.trust).read()).events).toHaveLength(3);
});

it('a full log accepts nothing more, says so, and drops nothing, also when its limit is lowered', async () => {
  const small = await startLogServer(fleet, ['boltzmann'], { changes: { log: { eventsBytes: 1024 ** 2 } } });
  try {
    const admin = await small.connect('admin');
    const manager = await logManager(admin);
    const publish = (n: number) =>
      admin.jetstream().publish(`ka.${fleet}.boltzmann._.Noted.${n}`, 'x'.repeat(100_000));
    for (let n = 1; n <= 10; n += 1) await publish(n);
    await expect(publish(11)).rejects.toMatchObject({ api_error: { err_code: 10077 } });
    const event = sealed(4);
    await expect(
      appendEvent(await small.connect('boltzmann'), { ...event, bytes: Buffer.alloc(100_000) }),
    ).rejects.toThrow(/the log is full.*raise log.eventsBytes/);
    const lower = LogLimits.parse({ eventsBytes: 1024 ** 2, outputBytes: 1024 ** 2 });
    await expect(provision(admin, fleet, ['boltzmann'], { ...lower, eventsBytes: 500_000 })).rejects.toThrow(
      /KA holds \d+ bytes, and the fleet's file lets it hold 500000/,
    );
    expect((await manager.streams.info(eventStream)).state).toMatchObject({ messages: 10, first_seq: 1 });
    await provision(admin, fleet, ['boltzmann'], { ...lower, eventsBytes: 2 * 1024 ** 2 });
    await publish(11);
  } finally {
    await small.stop();
  }
});

it('a bounded read of a log that was cut below its bound comes to an end', async () => {
  const cuts: number[] = [];
  const seen: number[] = [];
  await new EventLog(reader, log.trust).follow(
    { until: 5, onCut: (last) => void cuts.push(last) },
    ({ sequence }) => void seen.push(sequence),
  );
  expect(cuts).toEqual([3]);
  expect(seen).toEqual([1, 2, 3, 1, 2, 3]); // then what is there now, once it is known that there is no more
});
