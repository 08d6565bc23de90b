import { afterAll, beforeAll, describe, expect } from 'vitest';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { faultRow } from './fault-row.ts';
import { portsOf, reconfigure, speakThrough } from './sandbox-faults.ts';
import { startProxy, type TcpProxy } from './tcp-proxy.ts';

describe('a repository that sends a little and stops', () => {
  let fleet: TestFleet;
  let proxy: TcpProxy;
  beforeAll(async () => {
    fleet = await startTestFleet('fault-stall');
    proxy = await startProxy((await portsOf(fleet)).files);
    await speakThrough(fleet, 'fresnel', proxy);
    await reconfigure(fleet, 'fresnel', (config) => {
      config.stallSeconds = 1;
    });
  });
  afterAll(async () => {
    await fleet?.remove();
    await proxy?.close();
  });

  faultRow(
    'download-stalls',
    'resumed where it stopped, then copied from hertz; the evidence has both',
    async () => {
      proxy.set({ does: 'stall', afterBytes: 2_000 });
      const ran = await fleet.carry(await planVariant(fleet.folder, { iteration: 'iter5' }));
      expect(ran.stdout).toMatch(/ iter5 CLOSED: C1 PASS, /);
      expect(ran.exitCode).toBe(0);
      const packages = (await fleet.events('iter5')).flatMap(({ event }) =>
        event.kind === 'step' && event.step === 'stage' && event.fact === 'Succeeded'
          ? event.data.evidence.packages
          : [],
      );
      expect(packages).toHaveLength(2);
      for (const { sizeBytes, transfers } of packages) {
        expect(transfers.map(({ path, complete }) => [path, complete])).toEqual([
          ['repository', false],
          ['repository', false],
          ['repository', false],
          ['lan', true],
        ]);
        // Nothing was fetched twice.
        expect(transfers.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(sizeBytes);
        for (const { seconds } of transfers) expect(seconds).toBeLessThan(10);
      }
    },
  );
});
