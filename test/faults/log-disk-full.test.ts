import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import { appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import { logManager, outputStream } from '../../eventlog/stream/provision.ts';
import { startLogServer, until } from '../log-server.ts';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { faultRow } from './fault-row.ts';
import { iterationUnderWay } from './iteration-under-way.ts';
import { killProcess, processOf, setPower, waitUntil } from './sandbox-faults.ts';
import { fillDisk, mayMount, mountSmallDisk, unmountDisk } from './small-disk.ts';

describe("the log's disk is full", () => {
  let fleet: TestFleet;
  let store: string;
  beforeAll(async () => {
    fleet = await startTestFleet('fault-log-full');
    store = join(fleet.places.nats, 'store');
  });
  afterAll(async () => {
    await fleet?.down();
    if (mayMount) await unmountDisk(store);
    await fleet?.remove();
  });

  /** Moves the server's store to its own disk of a few MiB. */
  const moveToSmallDisk = async () => {
    await setPower(fleet, 'nats', 'off');
    await mountSmallDisk(store, '8m');
    await setPower(fleet, 'nats', 'on');
    // A server that has just started may not answer yet, and a person's command does not wait for it.
    await waitUntil('the log can be read', () =>
      fleet.types().then(
        () => true,
        () => false,
      ),
    );
  };
  /** How often a daemon has printed each line. */
  const said = async (name: string) => {
    const times = new Map<string, number>();
    for (const line of (await readFile(fleet.places.log(name), 'utf8')).split('\n'))
      if (line.includes("the log's disk may be full")) times.set(line, (times.get(line) ?? 0) + 1);
    return times;
  };

  faultRow(
    'nats-disk-full',
    'ka says so within seconds, the daemons once; with room and a restart of the server the iteration closes',
    async ({ skip }) => {
      if (!mayMount) skip('only root may mount the small disk that this needs');
      await moveToSmallDisk();
      const underWay = iterationUnderWay(
        fleet,
        await planVariant(fleet.folder, { iteration: 'iter5' }),
        'iter5',
      );
      await underWay.start();
      await underWay.event('ReviewRequested');
      const ballast = fillDisk(store);
      const began = Date.now();
      // The server acks what fits into its memory and notices the full disk later, so it is asked until it has noticed.
      const approve = () => fleet.ka('approve', 'iter5', '--as', 'sonnet-architect', '-m', 'read it');
      let refused = await approve();
      if (refused.exitCode === 0) {
        await waitUntil('the coordinator says it', async () => (await said('coordinator')).size > 0);
        refused = await fleet.ka('status');
      }
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toBe(
        "ka: nats-server answers, but its log does not: the log's disk may be full; next: make room there, then restart nats-server",
      );
      expect(Date.now() - began).toBeLessThan(90_000);

      await ballast.drop();
      await killProcess(fleet, 'nats-server');
      // Events that were acked and never written are lost: the coordinator names them, and a person repeats them.
      await waitUntil('the review is approved', async () => {
        const types = await fleet.types('iter5').catch((): string[] => []); // a read may meet a server that has just come back
        return types.includes('ReviewApproved') || (await approve()).exitCode === 0;
      });
      await underWay.event('IterationClosed');
      for (const name of ['coordinator', 'boltzmann', 'hertz']) {
        expect(processOf(fleet, name).restarts).toBe(0);
        // Once, and again after other trouble in between; a line per question would make dozens.
        expect([...(await said(name))].filter(([, times]) => times > 2)).toEqual([]);
      }
      const types = await fleet.types('iter5');
      expect(new Set(types).size).toBe(types.length);
      expect(types.filter((type) => type === 'ReviewApproved')).toHaveLength(1);
    },
  );
});

describe('the disk of a log alone', () => {
  faultRow(
    'nats-disk-full',
    'an append and a read fail within seconds and say so; what was there is there afterwards, and nothing twice',
    async ({ skip }) => {
      if (!mayMount) skip('only root may mount the small disk that this needs');
      const log = await startLogServer('test', ['boltzmann']);
      const store = join(log.folder, 'nats/store');
      try {
        await log.server.stop();
        await mountSmallDisk(store, '8m');
        await log.server.restart();
        const host = await log.connect('boltzmann');
        const coordinator = await log.connect('coordinator');
        const reader = new EventLog(coordinator, log.trust);
        // The output's limit is larger than this disk, and the server still has the stream.
        const manager = await logManager(await log.connect('admin'));
        expect((await manager.streams.info(outputStream)).config.name).toBe(outputStream);
        const append = (attempt: number) => {
          const data = {
            role: 'builder',
            version: '1',
            bootId: 'b'.repeat(1_000),
            release: 'r',
            package: null,
          };
          const writer = { fleet: 'test', name: 'boltzmann', key: log.key('boltzmann') };
          const event = { type: 'AgentStarted', iteration: '_', attempt, data } as const;
          return appendEvent(host, sealEvent(event, writer, undefined, '2026-05-11T08:00:00Z'));
        };
        for (const attempt of [1, 2, 3]) await append(attempt);
        const ballast = fillDisk(store);
        const began = Date.now();
        // The server acks what fits into its memory, and notices the full disk only afterwards.
        let why: unknown;
        let last = 3;
        for (; why === undefined && last < 100; last += 1)
          await append(last + 1).catch((error: unknown) => {
            why = error;
          });
        expect(String(why)).toContain("the log's disk may be full; next: make room there");
        await expect(reader.read()).rejects.toThrow("the log's disk may be full");
        expect(Date.now() - began).toBeLessThan(30_000);

        await ballast.drop();
        await log.server.kill('SIGKILL');
        await log.server.restart();
        for (const each of [host, coordinator]) await until(() => each.rtt().catch(() => undefined));
        for (const attempt of [1, 2, 3]) expect((await append(attempt)).outcome).toBe('there');
        for (let attempt = 4; attempt <= last; attempt += 1) await append(attempt);
        const attempts = (await reader.read()).events.map(({ event }) => event.attempt);
        expect(attempts).toEqual(Array.from({ length: last }, (_, index) => index + 1));
      } finally {
        await log.server.kill('SIGKILL');
        await unmountDisk(store);
        await log.stop();
      }
    },
  );
});
