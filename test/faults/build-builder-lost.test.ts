import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { planVariant } from '../plan-variant.ts';
import type { TestFleet } from '../test-fleet.ts';
import { startFailpointFleet } from './failpoint-fleet.ts';
import type { Failpoints } from './failpoints.ts';
import { faultRow } from './fault-row.ts';
import { iterationUnderWay } from './iteration-under-way.ts';
import { portsOf, setGrace, setPower, speakThrough, waitUntil } from './sandbox-faults.ts';
import { startProxy, type TcpProxy } from './tcp-proxy.ts';

/** Longer than the time between three presences of a host. */
const graceSeconds = 10;

describe('a builder that is gone when its packages are needed', () => {
  let fleet: TestFleet;
  let points: Failpoints;
  let nats: TcpProxy;

  beforeAll(async () => {
    ({ fleet, points } = await startFailpointFleet('fault-builder'));
    await setGrace(fleet, graceSeconds);
    nats = await startProxy((await portsOf(fleet)).nats);
    await speakThrough(fleet, 'boltzmann', nats);
  });
  afterAll(async () => {
    await fleet?.remove();
    await nats?.close();
  });

  /** Carries an iteration up to boltzmann's build, which waits at a failpoint. */
  const atBuild = async (
    iteration: string,
    point: string,
    plan: (readonly [string | RegExp, string])[] = [],
  ) => {
    const underWay = iterationUnderWay(
      fleet,
      await planVariant(fleet.folder, { iteration, plan }),
      iteration,
    );
    await points.arm('boltzmann', point);
    await underWay.start();
    await underWay.approve();
    return { underWay, reached: await points.waitReached({ host: 'boltzmann', name: point }) };
  };

  /** Everything visible to others that a build by boltzmann could still change. */
  const published = async () => {
    const { heads, view, served, mirror } = await fleet.world();
    return { heads, view, served, mirror };
  };

  /** Gives boltzmann its power back, and time to do what it should not do. */
  const comesBack = async () => {
    await setPower(fleet, 'boltzmann', 'on');
    await sleep(4000);
  };

  /** The build and publish events of an iteration. */
  const builds = async (iteration: string) =>
    (await fleet.types(iteration)).filter((type) => /^(Build|Publish)/.test(type));

  const replaced = [
    'BuildRequested',
    'BuildSuperseded',
    'BuildRequested',
    'BuildSucceeded',
    'PublishRequested',
    'PublishSucceeded',
  ];

  const fromFermi = async (iteration: string) => {
    const asked = (await fleet.events(iteration)).flatMap(({ event }) =>
      event.kind === 'step' && event.step === 'publish' && event.fact === 'Requested'
        ? [event.data.request]
        : [],
    );
    expect(asked).toMatchObject([{ builder: 'fermi', folder: `${iteration}.2` }]);
  };

  faultRow(
    'builder-offline',
    'past its grace: fermi builds and the iteration closes; boltzmann, back later, does nothing more',
    async () => {
      const { underWay } = await atBuild('iter5', 'build acked');
      await setPower(fleet, 'boltzmann', 'off');
      await underWay.event('IterationClosed');
      expect(await builds('iter5')).toEqual(replaced);
      await fromFermi('iter5');

      // The plan's risk, in the report and in what was recorded in the campaign's repository.
      const says = /boltzmann is offline when it is time to build \| fermi took over from boltzmann/;
      expect((await fleet.ka('report', 'iter5')).stdout).toMatch(says);
      const campaign = fleet.places.repository('campaign');
      const { stdout } = await execa('git', [
        '--git-dir',
        campaign,
        'show',
        'main:phase8_iteration5_close.md',
      ]);
      expect(stdout).toMatch(says);

      const before = { published: await published(), last: (await fleet.types('iter5')).length };
      await comesBack();
      expect({ published: await published(), last: (await fleet.types('iter5')).length }).toEqual(before);
      expect(existsSync(join(fleet.places.offered('boltzmann'), 'iter5.1'))).toBe(false);
      await setPower(fleet, 'fresnel', 'off'); // nothing more is installed
    },
  );

  faultRow(
    'builder-dies',
    'in the middle of makepkg, with all its programs, and stays away: fermi builds',
    async () => {
      const { underWay, reached } = await atBuild('iter6', 'build packages running', [
        [/from: 7\.0-1\n( +)to: 7\.0-2/, 'from: 7.0-2\n$1to: 7.0-3'],
      ]);
      expect(reached.host).toBe('boltzmann');
      await setPower(fleet, 'boltzmann', 'off');
      await underWay.evidence('publish');
      expect(await builds('iter6')).toEqual(replaced);
      await fromFermi('iter6');
      await underWay.abort();
      await underWay.event('IterationAborted');

      const before = await published();
      await comesBack();
      expect(await published()).toEqual(before);
      expect(await builds('iter6')).toEqual(replaced);
      expect(await readdir(fleet.places.offered('boltzmann'))).not.toContain('iter6.1');
    },
  );

  faultRow(
    'builder-offline',
    'it builds on and only the log is away: what it brings later is noted and not published',
    async () => {
      const { underWay, reached } = await atBuild('iter7', 'build acked', [
        [/from: 7\.0-1\n( +)to: 7\.0-2/, 'from: 7.0-3\n$1to: 7.0-4\n$1installed: 7.0-2'],
      ]);
      nats.set({ does: 'freeze' });
      await points.kill(reached, 'alone'); // it is started again at once, and works from its journal
      await underWay.evidence('publish');
      expect(await builds('iter7')).toEqual(replaced);
      await fromFermi('iter7');
      // It has built and offered packages for which nobody asks any more.
      await waitUntil('boltzmann has built', async () =>
        (await readdir(fleet.places.offered('boltzmann'))).includes('iter7.1'),
      );

      const before = await published();
      nats.set({ does: 'pass' });
      await underWay.event('BuildSucceeded', 2);
      await sleep(2000);
      expect(await builds('iter7')).toEqual([...replaced, 'BuildSucceeded']);
      expect(await published()).toEqual(before);
      await underWay.abort();
      await underWay.event('IterationAborted');
      const { exitCode, stdout } = await fleet.ka('replay', '--check', '--json');
      expect(JSON.parse(stdout)).toMatchObject({ mismatches: [] });
      expect(exitCode).toBe(0);
    },
  );
});
