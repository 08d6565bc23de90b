import { afterAll, beforeAll, describe, expect } from 'vitest';
import type { KaRan } from '../ka.ts';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { faultRow } from './fault-row.ts';

let fleet: TestFleet;
let before: Awaited<ReturnType<TestFleet['board']>>;

beforeAll(async () => {
  fleet = await startTestFleet('rollback');
  before = await fleet.board();
});
afterAll(() => fleet?.remove());

describe('an iteration whose helper patch repairs nothing', () => {
  let ran: KaRan;

  beforeAll(async () => {
    ran = await fleet.carry(await planVariant(fleet.folder, { iteration: 'iter5', variants: ['no-repair'] }));
  });

  faultRow('sweep-fails', 'fails at the sweep, and ka reports it by its exit code', () => {
    expect(ran.exitCode).toBe(1);
    expect(ran.stdout).toMatch(/ iter5 sweep done by fresnel .* on 7\.0-2/);
    expect(ran.stdout).toMatch(
      /^\S+ iter5 FAILED: sweep: C11: h264: libva = kernel-direct does not hold.*; the board was rolled back\. Go back to: phase 0: /m,
    );
  });

  faultRow('sweep-fails', 'has rebooted the board twice: into the new kernel, and back', async () => {
    const reboots = (await fleet.events('iter5')).flatMap(({ event }) => {
      if (event.kind !== 'step' || event.fact !== 'Succeeded') return [];
      if (event.step === 'reboot') return [event.data.evidence];
      return event.step === 'rollback' ? [event.data.evidence.rebooted] : [];
    });
    expect(reboots).toMatchObject([
      { outcome: 'new-kernel', before: { bootId: before.bootId } },
      { outcome: 'new-kernel', after: { procVersion: before.version } },
    ]);
  });

  faultRow('sweep-fails', 'leaves the board as it was before, on a new boot', async () => {
    const after = await fleet.board();
    expect(after.installed).toEqual(['linux-fresnel-fourier 7.0-1', 'linux-fresnel-fourier-headers 7.0-1']);
    expect(after.bootId).not.toBe(before.bootId);
    expect(after).toEqual({ ...before, bootId: after.bootId });
  });

  faultRow('sweep-fails', 'reports the sweep before and after, and what to go back to', async () => {
    const { exitCode, stdout } = await fleet.ka('report', 'iter5');
    expect(exitCode).toBe(0);
    expect(stdout).toContain('**1 of 5** on 7.0-1');
    expect(stdout).toContain('**1 of 5** on 7.0-2');
    expect(stdout).toMatch(
      /^## Where to go back to\n\nphase 0: the working hypothesis \(sync race\) is wrong/m,
    );
    expect(stdout).toContain('4 direct + 1 transitive (unchanged)');
  });

  faultRow(
    'sweep-fails',
    'has the clause that failed, and the one without evidence, in its ledger',
    async () => {
      const { exitCode, stdout } = await fleet.ka('audit', 'iter5', '--json');
      expect(exitCode).toBe(1);
      const verdicts = JSON.parse(stdout).clauses.map(
        ({ id, verdict }: Record<string, string>) => `${id} ${verdict}`,
      );
      expect(verdicts).toEqual([
        ...Array.from({ length: 10 }, (_, index) => `C${index + 1} PASS`),
        'C11 FAIL',
        'C12 MISS',
      ]);
    },
  );

  faultRow('sweep-fails', 'can be neither retried, nor waived, nor aborted', async () => {
    const last = await fleet.lastSequence();
    const [retry, waive, abort] = await Promise.all([
      fleet.ka('retry', 'iter5'),
      fleet.ka('waive', 'iter5', 'C11', '-m', 'good enough'),
      fleet.ka('abort', 'iter5'),
    ]);
    expect([retry.exitCode, waive.exitCode, abort.exitCode]).toEqual([2, 2, 2]);
    const isGone =
      'ka: iter5 was rolled back on fresnel, so its kernel is gone: start a new iteration with a new pkgrel';
    expect(retry.stderr).toBe(isGone);
    expect(waive.stderr).toBe(isGone);
    expect(abort.stderr).toMatch(/^ka: iter5 has failed already$/);
    expect(await fleet.lastSequence()).toBe(last);
  });
});

describe('the iteration after a rollback', () => {
  let ran: KaRan;

  beforeAll(async () => {
    ran = await fleet.carry(
      await planVariant(fleet.folder, {
        iteration: 'iter6',
        plan: [[/from: 7\.0-1\n( +)to: 7\.0-2/, 'from: 7.0-2\n$1to: 7.0-3\n$1installed: 7.0-1']],
      }),
    );
  });

  faultRow('sweep-fails', 'lands on what was landed before, and closes', () => {
    expect(ran.stdout).toMatch(/ iter6 CLOSED: C1 PASS, /);
    expect(ran.exitCode).toBe(0);
  });

  faultRow('sweep-fails', 'compiles only the repaired file', () => {
    expect(ran.stdout).toMatch(/ iter6 build done .* 1 of \d+ sources changed/);
  });

  faultRow('sweep-fails', 'goes from 1 of 5 on 7.0-1 to 5 of 5 on 7.0-3', async () => {
    const { stdout } = await fleet.ka('report', 'iter6');
    expect(stdout).toContain('**1 of 5** on 7.0-1');
    expect(stdout).toContain('**5 of 5** on 7.0-3');
    const { installed, version } = await fleet.board();
    expect(installed).toEqual(['linux-fresnel-fourier 7.0-3', 'linux-fresnel-fourier-headers 7.0-3']);
    expect(version).not.toBe(before.version);
  });

  faultRow('sweep-fails', 'is decided again as it was, and so is the one that failed', async () => {
    const { exitCode, stdout } = await fleet.ka('replay', '--check', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ mismatches: [] });
    expect(exitCode).toBe(0);
  });
});
