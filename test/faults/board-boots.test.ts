import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { planVariant } from '../plan-variant.ts';
import type { TestFleet } from '../test-fleet.ts';
import { nextBootPanics, nextReboot, nextRebootStaysOff, takeRoutes } from './board-faults.ts';
import { startFailpointFleet } from './failpoint-fleet.ts';
import type { Failpoints } from './failpoints.ts';
import { faultRow } from './fault-row.ts';
import { iterationUnderWay } from './iteration-under-way.ts';
import {
  portsOf,
  processOf,
  reconfigure,
  setGrace,
  setPower,
  speakThrough,
  waitUntil,
} from './sandbox-faults.ts';
import { startProxy, type TcpProxy } from './tcp-proxy.ts';

/** Longer than the time between three presences of a host. */
const graceSeconds = 5;

describe('a board that boots otherwise than it should', () => {
  let fleet: TestFleet;
  let points: Failpoints;
  let nats: TcpProxy;

  beforeAll(async () => {
    ({ fleet, points } = await startFailpointFleet('fault-board'));
    await setGrace(fleet, graceSeconds);
    nats = await startProxy((await portsOf(fleet)).nats);
    await speakThrough(fleet, 'fresnel', nats);
  });
  afterAll(async () => {
    await fleet?.remove();
    await nats?.close();
  });

  let release = 1;
  /** Begins an iteration that brings the next pkgrel to the board, and approves it. */
  const begin = async (plan: (readonly [string | RegExp, string])[] = []) => {
    const [, installed = ''] = (await fleet.board()).installed[0]?.split(' ') ?? [];
    const [from, to] = [`7.0-${release}`, `7.0-${release + 1}`];
    const iteration = `iter${release + 4}`;
    release += 1;
    const bump = `from: ${from}\n$1to: ${to}${installed === from ? '' : `\n$1installed: ${installed}`}`;
    const underWay = iterationUnderWay(
      fleet,
      await planVariant(fleet.folder, { iteration, plan: [[/from: 7\.0-1\n( +)to: 7\.0-2/, bump], ...plan] }),
      iteration,
    );
    await underWay.start();
    await underWay.approve();
    return { ...underWay, iteration, to };
  };
  const boots = () =>
    readFileSync(fleet.places.board.bootsFile, 'utf8')
      .split('\n')
      .filter((line) => line.includes('Linux version')).length;
  const bootId = () => readFileSync(fleet.places.board.bootIdFile, 'utf8');
  const isOver = async (iteration: string) =>
    (await fleet.types(iteration)).some((type) => /^Iteration(Failed|Closed|Aborted)$/.test(type));
  /** The state of the board, without its boot id. */
  const boardNow = async () => ({ ...(await fleet.board()), bootId: '' });

  faultRow('board-fell-back', 'it says so, is rolled back, and the iteration ends', async () => {
    const [before, booted] = [await boardNow(), boots()];
    await nextBootPanics(fleet);
    const underWay = await begin();
    expect(await underWay.failure()).toMatch(
      /^reboot: .*the board came back on Linux version .* #1 .*, the new kernel panicked: Kernel panic - not syncing: VFS/,
    );
    expect(await underWay.evidence('reboot')).toMatchObject({
      outcome: 'fell-back',
      package: '7.0-2',
      fellBack: { how: 'panic' },
    });
    expect(await underWay.event('IterationFailed')).toMatchObject({ data: { boardRolledBack: true } });
    expect(await boardNow()).toEqual(before);
    expect(boots()).toBe(booted + 2);
  });

  faultRow('no-network', 'it goes back on its own, and reports once it can', async () => {
    const [before, booted] = [await boardNow(), boots()];
    await reconfigure(fleet, 'fresnel', (config) => {
      config.boot.confirmWithinSeconds = 8;
    });
    const first = bootId();
    const underWay = await begin();
    await waitUntil('the new kernel boots', () => bootId() !== first);
    nats.set({ does: 'refuse' });
    const back = await takeRoutes(fleet);
    const second = bootId();
    await waitUntil('the old kernel boots', () => bootId() !== second);
    expect(await isOver(underWay.iteration)).toBe(false);
    nats.set({ does: 'pass' });
    await back();
    const because = `nobody confirmed ${underWay.to} within 8 s of its boot; it had no network: eth0 has no address and no route`;
    expect(await underWay.event('DeadlinePassed')).toMatchObject({
      source: 'fresnel',
      attempt: 1,
      data: {
        because,
        restored: true,
        version: '7.0-1',
        unconfirmed: { bootId: second.trim() },
      },
    });
    expect(await underWay.failure()).toBe(`fresnel went back to 7.0-1 on its own: ${because}`);
    const rolledBack = await underWay.evidence('rollback');
    // The board's own reboot counts as the rollback's; there is no other one.
    expect(rolledBack.rebooted).toMatchObject({ outcome: 'new-kernel', before: { bootId: second.trim() } });
    expect(boots()).toBe(booted + 2);
    expect(await boardNow()).toEqual(before);
    await reconfigure(fleet, 'fresnel', (config) => {
      config.boot.confirmWithinSeconds = 3600;
    });
  });

  faultRow(
    'board-lost',
    'a person is told what was last seen; when it is back, the iteration goes on',
    async () => {
      const booted = boots();
      await nextRebootStaysOff(fleet);
      const underWay = await begin([['goBack:', 'limits: { reboot: 20s }\ngoBack:']]);
      const lost = await underWay.event('BoardLost');
      expect(lost).toMatchObject({
        source: 'coordinator',
        data: {
          host: 'fresnel',
          step: 'reboot',
          attempt: 1,
          reason: { code: 'overdue-and-silent', limitSeconds: 20 },
        },
      });
      const { stdout } = await fleet.ka('status', underWay.iteration);
      expect(stdout).toMatch(
        /fresnel, which is lost: .*; last seen with linux-fresnel-fourier 7\.0-\d on 7\.0\.0-fresnel-fourier, boot [0-9a-f]{8}\. Look at its console/,
      );
      expect(await isOver(underWay.iteration)).toBe(false);
      await setPower(fleet, 'fresnel', 'on');
      const closed = await underWay.event('IterationClosed');
      expect(closed.iteration).toBe(underWay.iteration);
      expect(await underWay.evidence('confirm')).toMatchObject({
        version: underWay.to,
        deadline: 'disarmed',
      });
      expect(boots()).toBe(booted + 1);
    },
  );

  faultRow(
    'reboot-cut',
    'a power cut in the initramfs and around the reboot: each boot counts once',
    async () => {
      const booted = boots();
      const cutAt = async (name: string) => {
        await points.waitReached({ host: 'fresnel', name });
        await setPower(fleet, 'fresnel', 'off');
        await setPower(fleet, 'fresnel', 'on');
      };
      for (const name of ['install initramfs running', 'reboot arm result'])
        await points.arm('fresnel', name);
      const underWay = await begin();
      await cutAt('install initramfs running');
      await cutAt('reboot arm result');
      expect((await underWay.event('IterationClosed')).type).toBe('IterationClosed');
      expect(await underWay.evidence('reboot')).toMatchObject({
        outcome: 'new-kernel',
        package: underWay.to,
      });
      // Both cuts booted the old kernel. The trial follows, and is asked for once.
      expect(boots()).toBe(booted + 3);
    },
  );

  faultRow(
    'rollback-fails',
    'it stops after its tries, the board stays reachable, and a person is told what to do by hand',
    async () => {
      const booted = boots();
      const { board, host, shared } = fleet.places;
      await nextReboot(
        fleet,
        [
          `cp "${board.runningImage}" "${fleet.places.root}/boot/Image-old"`,
          `sed -i 's#KERNEL .*#KERNEL /boot/Image-old#' "${board.extlinux}"`,
          `for file in "${host('fresnel')}"/state/backups/*/*.zst "${shared}"/fresnel/*/*.zst; do echo x >> "$file"; done`,
        ].join('; '),
      );
      const underWay = await begin();
      const because = await underWay.failure();
      expect(because).toMatch(
        /^reboot: .*; the rollback failed 2 times \(.*7\.0-\d-[0-9a-f]{16}\.tar\.zst.*\): fresnel needs a person\. By hand: unpack /,
      );
      const types = await fleet.types(underWay.iteration);
      expect(types.filter((type) => type === 'RollbackFailed')).toHaveLength(2);
      expect(types.at(-1)).toBe('IterationFailed');
      // Nothing reboots it any more, not even its deadline, and it answers.
      expect(boots()).toBe(booted + 1);
      expect(processOf(fleet, 'fresnel').process).not.toBeNull();
      expect((await fleet.board()).installed).toContain(`linux-fresnel-fourier ${underWay.to}`);
      expect((await fleet.ka('status')).stdout).toMatch(/fresnel .*idle|fresnel/);
    },
  );
});
