import { headers, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import {
  eventStream,
  logManager,
  outputStream,
  presenceStream,
  provision,
} from '../../eventlog/stream/provision.ts';
import { type LogServer, startLogServer } from '../log-server.ts';
import { attack } from './attack.ts';

const fleet = 'test';
const streams = [eventStream, 'KA_BLOBS', outputStream, presenceStream];

describe('a board that rolls up', () => {
  let log: LogServer;
  let admin: NatsConnection;
  let board: NatsConnection;
  beforeAll(async () => {
    log = await startLogServer(fleet, { boltzmann: 'builder', fresnel: 'board' });
    [admin, board] = [await log.connect('admin'), await log.connect('fresnel')];
    const builder = await log.connect('boltzmann');
    for (const subject of [
      `ka.${fleet}.boltzmann.iter1.Noted.1`,
      `ka-blob.${fleet}.boltzmann.abc.0`,
      `ka-out.${fleet}.boltzmann.iter1.build.1`,
      `ka-presence.${fleet}.boltzmann`,
    ])
      await builder.request(subject, 'mine');
  });
  afterAll(() => log?.stop());

  const own = [
    `ka.${fleet}.fresnel.iter1.Noted.1`,
    `ka-blob.${fleet}.fresnel.abc.0`,
    `ka-out.${fleet}.fresnel.iter1.sweep.1`,
    `ka-presence.${fleet}.fresnel`,
  ];
  const answerTo = async (subject: string, rollup: 'all' | 'sub') => {
    const head = headers();
    head.set('Nats-Rollup', rollup);
    return (await board.request(subject, 'x', { headers: head, timeout: 2_000 })).json<{
      error?: { description: string };
    }>();
  };
  const held = async () => {
    const manager = await logManager(admin);
    return Promise.all(streams.map(async (name) => (await manager.streams.info(name)).state.messages));
  };

  attack('rolled-up-output', 'erases nothing in any stream', async () => {
    const before = await held();
    for (const subject of own)
      for (const rollup of ['all', 'sub'] as const)
        expect((await answerTo(subject, rollup)).error?.description).toMatch(/rollup not permitted/);
    expect(await held()).toEqual(before);
  });

  attack('rolled-up-output', 'erases nothing in a stream that was made with rollup on', async () => {
    const manager = await logManager(admin);
    for (const name of [outputStream, presenceStream])
      await manager.streams.update(name, { allow_rollup_hdrs: true });
    await provision(admin, fleet, ['boltzmann', 'fresnel'], log.fleet.log);
    const before = await held();
    for (const subject of own)
      expect((await answerTo(subject, 'all')).error?.description).toMatch(/rollup not permitted/);
    expect(await held()).toEqual(before);
  });
});
