import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { replayCheck } from '../../coordinator/reading/replay.ts';
import { readState } from '../../deploy/local-fleet/sandbox-state.ts';
import { connectNats } from '../../eventlog/connection/connect.ts';
import { eventStream } from '../../eventlog/stream/provision.ts';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { faultRow } from './fault-row.ts';
import { portsOf, processOf, speakThrough, waitUntil } from './sandbox-faults.ts';
import { startProxy } from './tcp-proxy.ts';

describe('what lies between a host and the log', () => {
  let fleet: TestFleet;
  beforeAll(async () => {
    fleet = await startTestFleet('fault-log-wire');
  });
  afterAll(() => fleet?.remove());

  const seen = (iteration: string, type: string) =>
    waitUntil(`${iteration} has ${type}`, async () => (await fleet.types(iteration)).includes(type));

  faultRow(
    'consumer-deleted',
    'every host’s durable, twice in an iteration: each is made again, nothing is done twice, and the iteration closes',
    async () => {
      const admin = await connectNats({
        servers: [readState(fleet.places)?.natsUrl ?? ''],
        keyFile: fleet.places.keyFile('admin'),
        name: 'admin',
      });
      try {
        const manager = await admin.jetstreamManager();
        const hosts = ['boltzmann', 'fermi', 'hertz', 'fresnel'];
        const isThere = (host: string) =>
          manager.consumers.info(eventStream, host).then(
            () => true,
            () => false,
          );
        const carrying = fleet.carry(await planVariant(fleet.folder, { iteration: 'iter5' }));
        for (const type of ['LandRequested', 'PublishSucceeded']) {
          await seen('iter5', type);
          // One that nothing is asked of may not have its first loss behind it yet.
          for (const host of hosts)
            if (await isThere(host)) await manager.consumers.delete(eventStream, host);
        }
        const { exitCode, stdout } = await carrying;
        expect(stdout).toMatch(/ iter5 CLOSED: C1 PASS, /);
        expect(exitCode).toBe(0);
        // A durable of a host that is asked nothing is looked at every 30 s: its second loss may end with the first.
        for (const host of hosts) await waitUntil(`${host} has a durable`, () => isThere(host), 90_000);
        const log = await readFile(fleet.places.log('coordinator'), 'utf8');
        const madeFor = (host: string) =>
          log
            .match(new RegExp(`${host}'s durable was made again from sequence \\d+: .*`, 'g'))
            ?.filter((text) => text.endsWith(': it was gone')).length ?? 0;
        for (const host of hosts) expect([1, 2]).toContain(madeFor(host));
        expect(madeFor('boltzmann')).toBe(2);
        // At the host's own position: boltzmann knew its preflight when the first one was deleted.
        const events = await fleet.events('iter5');
        const preflight = events.find(({ event }) => event.type === 'PreflightRequested')?.sequence ?? 0;
        const [, from] = /boltzmann's durable was made again from sequence (\d+)/.exec(log) ?? [];
        expect(Number(from)).toBeGreaterThan(preflight);
        const types = events.map(({ event }) => event.type);
        expect(new Set(types).size).toBe(types.length);
        expect(replayCheck(await fleet.events()).mismatches).toEqual([]);
      } finally {
        await admin.close();
      }
    },
  );

  faultRow(
    'nats-half-open',
    'nothing comes through any more while boltzmann builds: noticed within 30 s, and what it did is said by a new connection',
    async () => {
      const { nats } = await portsOf(fleet);
      const proxy = await startProxy(nats);
      try {
        await speakThrough(fleet, 'boltzmann', proxy);
        const restarts = processOf(fleet, 'boltzmann').restarts;
        const plan = [[/from: 7\.0-1\n( +)to: 7\.0-2/, 'from: 7.0-2\n$1to: 7.0-3']] as const;
        const carrying = fleet.carry(await planVariant(fleet.folder, { iteration: 'iter6', plan }));
        await seen('iter6', 'BuildRequested');
        const before = proxy.connections;
        proxy.set({ does: 'freeze' });
        const frozen = Date.now();
        await waitUntil('boltzmann tries a new connection', () => proxy.connections > before, 30_000);
        const noticedMs = Date.now() - frozen;
        proxy.set({ does: 'pass' });
        const { exitCode, stdout } = await carrying;
        expect(stdout).toMatch(/ iter6 CLOSED: C1 PASS, /);
        expect(exitCode).toBe(0);
        expect(noticedMs).toBeLessThan(30_000);
        expect(processOf(fleet, 'boltzmann').restarts).toBe(restarts);
        const types = await fleet.types('iter6');
        expect(types.filter((type) => /Failed|Superseded/.test(type))).toEqual([]);
        expect(new Set(types).size).toBe(types.length);
      } finally {
        await proxy.close();
      }
    },
  );
});
