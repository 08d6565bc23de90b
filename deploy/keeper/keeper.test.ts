import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { lastKeeping } from '../../eventlog/live/keeping.ts';
import { closeLog, rebuildLog } from '../../eventlog/stream/rebuild-log.ts';
import { startKeeper } from '../../test/log-keeper.ts';
import { type LogServer, person, startLogServer, until } from '../../test/log-server.ts';
import { readSilenced, writeSilenced } from './silenced-file.ts';

const fleet = 'test';
let log: LogServer;
let keeper: Awaited<ReturnType<typeof startKeeper>>;
let reader: NatsConnection;
beforeAll(async () => {
  log = await startLogServer(fleet, ['boltzmann', 'fresnel'], {
    hasKeeper: true,
    changes: { log: { quota: { messagesPerMinute: 30 } } },
  });
  keeper = await startKeeper(log);
  reader = await log.connect(person);
});
afterAll(async () => {
  await keeper?.stop();
  await log?.stop();
});

let count = 0;
/** Whether the server takes a message of that host; undefined if it did not answer, as while it reads its config. */
const publishes = async (host: string, prefix = 'ka'): Promise<boolean | undefined> => {
  count += 1;
  const connection = await log.connect(host).catch(() => undefined);
  if (!connection) return undefined;
  const taken = await connection
    .jetstream()
    .publish(`${prefix}.${fleet}.${host}.iter1.Noted.${count}`, 'x', { timeout: 2_000 })
    .then(
      () => true,
      () => false,
    );
  await connection.close();
  return taken;
};
const silenced = () => readSilenced(keeper.silencedFile).map(({ writer }) => writer);

it('silences who floods the output as well as who floods the log, and nobody else', async () => {
  await until(async () => (await publishes('boltzmann', 'ka-out')) === false);
  expect(silenced()).toEqual(['boltzmann']);
  expect(await publishes('boltzmann')).toBe(false);
  expect(await publishes('fresnel')).toBe(true);
  const last = await until(async () => {
    const found = await lastKeeping(reader, log.fleet);
    return found?.silenced.length ? found : undefined;
  });
  expect(last).toEqual({
    silenced: [
      { writer: 'boltzmann', since: expect.any(String), why: 'more than 30 messages within a minute' },
    ],
  });
});

it('silences it again after the server was started with the config that was printed', async () => {
  await log.server.restart();
  await until(async () => (await publishes('boltzmann')) === false);
  expect(silenced()).toEqual(['boltzmann']);
});

it('gives the right back when a person says so', async () => {
  writeSilenced(keeper.silencedFile, []);
  await until(() => publishes('boltzmann'));
  await until(() => keeper.said.includes('boltzmann may publish again'));
});

it('silences nobody for what a restore puts back', async () => {
  const admin = await log.connect('admin');
  const { limits, hosts } = { limits: log.fleet.log, hosts: ['boltzmann', 'fresnel'] };
  await closeLog(admin, fleet);
  const messages = Array.from({ length: 200 }, (_, nth) => ({
    subject: `ka.${fleet}.fresnel.iter1.Noted.${nth + 1}`,
    bytes: Buffer.from('x'),
    signature: '',
  }));
  await rebuildLog(admin, { fleet, hosts, limits }, messages);
  for (let nth = 0; nth < 60; nth += 1)
    await admin.jetstream().publish(`ka-blob.${fleet}.fresnel.abc.${nth}`, 'x');
  await new Promise((settled) => setTimeout(settled, 1_500));
  expect(silenced()).toEqual([]);
  expect(await publishes('fresnel')).toBe(true);
});

it('is not believed without its signature, or when it was not heard for a minute', async () => {
  expect(await lastKeeping(reader, log.fleet, Date.now() + 120_000)).toMatchObject({
    doubt: expect.stringContaining('was last heard at'),
  });
  const other = { ...log.fleet, keeper: { publicKey: log.key('fresnel').publicKey } };
  expect(await lastKeeping(reader, other)).toMatchObject({
    silenced: [],
    doubt: expect.stringContaining('not the keeper’s word'),
  });
  expect(await lastKeeping(reader, { fleet })).toBeUndefined();
});
