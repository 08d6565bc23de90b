import { afterAll, beforeAll, expect, it } from 'vitest';
import { type LogServer, sealedStart, startLogServer, until } from '../../test/log-server.ts';
import { sealEvent } from '../signing/seal.ts';
import { appendEvent, EventLog } from './event-log.ts';
import { eventStream, isOpenTo, openTo } from './provision.ts';
import { closeLog, readWholeLog, rebuildLog } from './rebuild-log.ts';

const fleet = 'test';
let log: LogServer;
beforeAll(async () => {
  log = await startLogServer(fleet, ['boltzmann']);
});
afterAll(() => log.stop());

const sealed = (attempt: number) => sealedStart(log, { fleet, host: 'boltzmann', attempt });

it('a closed log takes nothing, keeps what it holds and its consumers, and opens again unless it was replaced', async () => {
  const [admin, host, reader] = await Promise.all(['admin', 'boltzmann', 'coordinator'].map(log.connect));
  if (!admin || !host || !reader) throw new Error('nobody is connected');
  await appendEvent(host, sealed(1));
  const seen: number[] = [];
  const stop = new AbortController();
  const following = new EventLog(reader, log.trust).follow(
    { signal: stop.signal },
    ({ event }) => void seen.push(event.attempt),
  );
  await until(() => seen.length === 1);

  const closed = await closeLog(admin, fleet);
  await expect(appendEvent(host, sealed(2))).rejects.toThrow('being restored');
  await expect(new EventLog(reader, log.trust).read()).rejects.toThrow('being restored');
  expect(await readWholeLog(admin)).toHaveLength(1);
  expect(await closed?.reopen()).toBe(true);
  expect(await appendEvent(host, sealed(2))).toEqual({ outcome: 'appended', sequence: 2 });
  await until(() => seen.length === 2);
  stop.abort();
  await following;
  const manager = await admin.jetstreamManager();
  const request = sealEvent(
    {
      type: 'BuildSuperseded',
      iteration: 'iter5',
      attempt: 1,
      host: 'boltzmann',
      data: {
        host: 'boltzmann',
        reason: { code: 'host-silent', host: 'boltzmann', silentSeconds: 61, graceSeconds: 60 },
      },
    },
    { fleet, name: 'coordinator', key: log.key('coordinator') },
    undefined,
    '2026-05-11T08:00:00Z',
  );
  await appendEvent(reader, request);
  expect(await manager.consumers.info(eventStream, 'boltzmann')).toMatchObject({ num_pending: 1 });

  const again = await closeLog(admin, fleet);
  await rebuildLog(admin, { fleet, hosts: ['boltzmann'], limits: log.fleet.log }, [sealed(1)]);
  await manager.streams.update(eventStream, { subjects: [sealed(2).subject] }); // as a rebuild that was cut leaves it
  expect(await again?.reopen()).toBe(false);
  await expect(appendEvent(host, sealed(3))).rejects.toThrow('being restored');
});

it('a log is open to its whole fleet and to nothing else', () => {
  expect(isOpenTo(openTo(fleet))).toBe(true);
  for (const subjects of [[], ['ka.test.boltzmann.>'], ['ka.>'], ['ka-closed.test'], ['x.>', 'ka.test.>']])
    expect(isOpenTo(subjects)).toBe(false);
});
