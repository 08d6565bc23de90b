import { afterAll, beforeAll, describe, expect } from 'vitest';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { faultRow } from './fault-row.ts';

describe('a kernel that boots and does not decode', () => {
  let fleet: TestFleet;
  beforeAll(async () => {
    fleet = await startTestFleet('fault-sweep');
  });
  afterAll(() => fleet?.remove());

  faultRow('sweep-fails', 'the board is as it was before, on a new boot, and the log says why', async () => {
    const before = await fleet.board();
    const ran = await fleet.carry(
      await planVariant(fleet.folder, { iteration: 'iter5', variants: ['no-repair'] }),
    );
    expect(ran.exitCode).toBe(1);
    expect(ran.stdout).toMatch(
      /^\S+ iter5 FAILED: sweep: C11: h264: libva = kernel-direct does not hold.*; the board was rolled back\. Go back to: phase 0: /m,
    );
    const after = await fleet.board();
    expect(after.bootId).not.toBe(before.bootId);
    expect(after).toEqual({ ...before, bootId: after.bootId });
  });
});
