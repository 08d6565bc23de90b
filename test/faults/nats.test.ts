import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import type { KaRan } from '../ka.ts';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { faultRow } from './fault-row.ts';
import { killProcess, processOf, setPower, waitUntil } from './sandbox-faults.ts';

describe('nats-server in the middle of an iteration', () => {
  let fleet: TestFleet;
  beforeAll(async () => {
    fleet = await startTestFleet('fault-nats');
  });
  afterAll(() => fleet?.remove());

  /** Waits for an event of the iteration. */
  const seen = (iteration: string, type: string) =>
    waitUntil(`${iteration} has ${type}`, async () => (await fleet.types(iteration)).includes(type));

  faultRow(
    'nats-killed',
    'killed while hosts build and install, it loses nothing and the iteration closes',
    async () => {
      const carrying: Promise<KaRan> = fleet.carry(await planVariant(fleet.folder, { iteration: 'iter5' }));
      const moments = ['PreflightRequested', 'BuildRequested', 'InstallRequested', 'SweepRequested'];
      for (const type of moments) {
        await seen('iter5', type);
        await killProcess(fleet, 'nats-server');
      }
      // This time it stays away for longer than the step takes.
      await seen('iter5', 'RecordRequested');
      await setPower(fleet, 'nats', 'off');
      await sleep(5_000);
      await setPower(fleet, 'nats', 'on');
      const { exitCode, stdout } = await carrying;
      expect(stdout).toMatch(/ iter5 CLOSED: C1 PASS, /);
      expect(exitCode).toBe(0);
      expect(processOf(fleet, 'nats-server').restarts).toBe(moments.length + 1);
      // The daemons have waited for it: none of them was restarted.
      for (const name of ['coordinator', 'boltzmann', 'hertz'])
        expect(processOf(fleet, name).restarts).toBe(0);
      const types = await fleet.types('iter5');
      expect(types.filter((type) => /Failed|Superseded/.test(type))).toEqual([]);
      expect(new Set(types).size).toBe(types.length);
    },
  );
});
