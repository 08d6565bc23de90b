import { rmSync, writeFileSync } from 'node:fs';
import { cp, mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { appendEvent, EventLog } from '../../eventlog/event-log.ts';
import { sealEvent } from '../../eventlog/seal.ts';
import { startLogServer, until } from '../log-server.ts';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { faultRow } from './fault-row.ts';
import { iterationUnderWay } from './iteration-under-way.ts';
import { killProcess, processOf, setPower, waitUntil } from './sandbox-faults.ts';

const mayMount = process.getuid?.() === 0;
const mountSmall = (folder: string) => execa('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder]);
const unmount = (folder: string) => execa('umount', [folder], { reject: false });

const fill = (folder: string) => {
  for (let file = 0; ; file += 1)
    try {
      writeFileSync(join(folder, `filler-${file}`), Buffer.alloc(file === 0 ? 2_000_000 : 65_536));
    } catch {
      return; // no room is left
    }
};
const makeRoom = (folder: string) => rmSync(join(folder, 'filler-0'));

describe("the log's disk is full", () => {
  let fleet: TestFleet;
  let store: string;
  beforeAll(async () => {
    fleet = await startTestFleet('fault-log-full');
    store = join(fleet.places.nats, 'store');
  });
  afterAll(async () => {
    await fleet?.down();
    if (mayMount) await unmount(store);
    await fleet?.remove();
  });

  /** Moves the server's store to a disk of its own, of a few MiB. */
  const moveToSmallDisk = async () => {
    await setPower(fleet, 'nats', 'off');
    await rename(store, `${store}.before`);
    await mkdir(store);
    await mountSmall(store);
    await cp(`${store}.before`, store, { recursive: true, preserveTimestamps: true });
    await setPower(fleet, 'nats', 'on');
  };
  const said = async (name: string) =>
    (await readFile(fleet.places.log(name), 'utf8')).split("the log's disk may be full").length - 1;

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
      fill(store);
      const began = Date.now();
      // The server acks what its memory takes, and finds out afterwards: so it is asked until it has.
      const approve = () => fleet.ka('approve', 'iter5', '--as', 'sonnet-architect', '-m', 'read it');
      let refused = await approve();
      if (refused.exitCode === 0) {
        await waitUntil('the coordinator says it', async () => (await said('coordinator')) > 0, 60_000);
        refused = await fleet.ka('status');
      }
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toBe(
        "ka: nats-server answers, but its log does not: the log's disk may be full; next: make room there, then restart nats-server",
      );
      expect(Date.now() - began).toBeLessThan(90_000);

      makeRoom(store);
      await killProcess(fleet, 'nats-server');
      // What was acked and never written is lost: the coordinator names it, and a person says it again.
      const approved = async () => (await fleet.types('iter5')).includes('ReviewApproved');
      if (!(await approved())) await approve();
      await underWay.event('IterationClosed', 1, 120_000);
      for (const name of ['coordinator', 'boltzmann', 'hertz']) {
        expect(processOf(fleet, name).restarts).toBe(0);
        expect(await said(name)).toBeLessThanOrEqual(2);
      }
      const types = await fleet.types('iter5');
      expect(new Set(types).size).toBe(types.length);
      expect(types.filter((type) => type === 'ReviewApproved')).toHaveLength(1);
    },
    300_000,
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
        await rename(store, `${store}.before`);
        await mkdir(store);
        await mountSmall(store);
        await cp(`${store}.before`, store, { recursive: true, preserveTimestamps: true });
        await log.server.restart();
        const host = await log.connect('boltzmann');
        const reader = new EventLog(await log.connect('coordinator'), log.trust);
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
        fill(store);
        const began = Date.now();
        // The server takes what its memory holds, and acks it: only then does it know.
        let why: unknown;
        let last = 3;
        for (; why === undefined && last < 100; last += 1)
          await append(last + 1).catch((error: unknown) => {
            why = error;
          });
        expect(String(why)).toContain("the log's disk may be full; next: make room there");
        await expect(reader.read()).rejects.toThrow("the log's disk may be full");
        expect(Date.now() - began).toBeLessThan(30_000);

        makeRoom(store);
        await log.server.kill('SIGKILL');
        await log.server.restart();
        await until(() => host.rtt().catch(() => undefined));
        for (const attempt of [1, 2, 3]) expect((await append(attempt)).outcome).toBe('there');
        for (let attempt = 4; attempt <= last; attempt += 1) await append(attempt);
        const attempts = (await reader.read()).events.map(({ event }) => event.attempt);
        expect(attempts).toEqual(Array.from({ length: last }, (_, index) => index + 1));
      } finally {
        await log.server.kill('SIGKILL');
        await unmount(store);
        await log.stop();
      }
    },
  );
});
