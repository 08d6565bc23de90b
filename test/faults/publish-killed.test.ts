import { readdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { repositoryName } from '../../deploy/places/sandbox-places.ts';
import { type PlanVariant, planVariant } from '../plan-variant.ts';
import type { TestFleet } from '../test-fleet.ts';
import { failpointsOf, isMidway } from './every-failpoint.ts';
import { startFailpointFleet } from './failpoint-fleet.ts';
import type { Failpoint, Failpoints, KillMode } from './failpoints.ts';
import { faultRow } from './fault-row.ts';
import { iterationUnderWay } from './iteration-under-way.ts';
import { pollRepository, type ViewSeen } from './repository-client.ts';
import { killProcess, setPower, waitUntil } from './sandbox-faults.ts';

const names = ['linux-fresnel-fourier', 'linux-fresnel-fourier-headers'];
const view = (of: string, version: string): ViewSeen => ({
  view: `views/${of}`,
  packages: names.map((name) => `${name} ${version}`),
});

interface Kill {
  iteration: string;
  plan: PlanVariant['plan'];
  at: readonly Failpoint[];
  how: (index: number) => KillMode;
  seen: ViewSeen[];
}

describe('a publisher that is killed while clients ask for its packages', () => {
  let fleet: TestFleet;
  let points: Failpoints;

  beforeAll(async () => {
    ({ fleet, points } = await startFailpointFleet('fault-publisher'));
    // Nothing is installed here, since a changed board would disturb the next iteration.
    await setPower(fleet, 'fresnel', 'off');
  });
  afterAll(() => fleet?.remove());

  const client = () =>
    pollRepository(fleet.places.packageRepository, repositoryName, fleet.places.keyring('hertz'));
  const views = async () => (await readdir(join(fleet.places.packageRepository, 'views'))).sort();

  /** Carries an iteration up to the build of its packages, and ends it once `during` is over. */
  const publishing = async (
    iteration: string,
    plan: PlanVariant['plan'],
    during: (underWay: ReturnType<typeof iterationUnderWay>) => Promise<void>,
  ) => {
    const file = await planVariant(fleet.folder, { iteration, plan: plan ?? [] });
    const underWay = iterationUnderWay(fleet, file, iteration);
    await underWay.start();
    try {
      await underWay.approve();
      await during(underWay);
    } finally {
      await underWay.abort();
      await underWay.event('IterationAborted');
    }
  };

  // A kill at one place can make the next one unreachable: a noted request is not noted again, and an effect that a
  // probe finds done is not done again. So those places are left out in the second run.
  const everywhere = failpointsOf(['publish'], []).filter(({ host }) => host === 'hertz');
  const hides = ({ name }: Failpoint) => name === 'publish noted' || name.endsWith(' running');
  const kills: (Kill & { title: string })[] = [
    {
      title: 'at every failpoint of publish: the old view or the new one',
      iteration: 'iter5',
      plan: [],
      at: everywhere,
      how: (index: number): KillMode => (index % 2 === 0 ? 'alone' : 'with children'),
      seen: [view('baseline', '7.0-1'), view('iter5.1', '7.0-2')],
    },
    {
      title: 'at every failpoint that an earlier kill can hide: the old view or the new one',
      iteration: 'iter6',
      plan: [[/from: 7\.0-1\n( +)to: 7\.0-2/, 'from: 7.0-2\n$1to: 7.0-3\n$1installed: 7.0-1']],
      at: everywhere.filter((point) => !hides(point)),
      how: (index: number): KillMode => (index % 2 === 0 ? 'with children' : 'alone'),
      seen: [view('iter5.1', '7.0-2'), view('iter6.1', '7.0-3')],
    },
  ];
  const met = new Set<string>();
  const killedAt = ({ iteration, plan, at, how, seen }: Kill) =>
    publishing(iteration, plan, async (underWay) => {
      const polling = client();
      const { killed } = await points.killAtEach(
        at,
        how,
        underWay.evidence('publish').then(async (evidence) => {
          // A daemon may still be stopped after the last event.
          await sleep(500);
          return evidence;
        }),
      );
      for (const { name } of killed) met.add(name);
      const asked = await polling.stop();
      expect(asked.views).toEqual(seen);
      expect(asked.polls).toBeGreaterThan(1000);
      expect(asked.between).toBeLessThanOrEqual(1);
      const types = await fleet.types(iteration);
      expect(types.filter((type) => type.startsWith('Publish'))).toEqual([
        'PublishRequested',
        'PublishSucceeded',
      ]);
      expect((await views()).filter((name) => name.includes(iteration))).toEqual([`${iteration}.1`]);
    });
  for (const { title, ...kill } of kills) faultRow('publisher-killed', title, () => killedAt(kill));

  faultRow(
    'publisher-killed',
    'in the midst of building a view, with all its programs: the old view, then the new one',
    () =>
      publishing(
        'iter7',
        [[/from: 7\.0-1\n( +)to: 7\.0-2/, 'from: 7.0-3\n$1to: 7.0-4\n$1installed: 7.0-1']],
        async (underWay) => {
          await underWay.event('BuildRequested');
          const polling = client();
          const unfinished = join(fleet.places.packageRepository, 'views/.unfinished.iter7.1');
          const filesThere = () => {
            try {
              return readdirSync(unfinished);
            } catch {
              return []; // not begun
            }
          };
          // Each time it gets further: packages are copied, repo-add runs, the database is signed.
          for (const hasFile of [/pkg\.tar\.zst$/, /\.db\.tar\.gz/, /\.db\.tar\.gz\.sig/]) {
            await waitUntil(`a half-made view with ${hasFile}`, () =>
              filesThere().some((file) => hasFile.test(file)),
            );
            await killProcess(fleet, 'hertz', 'with children');
          }
          await underWay.evidence('publish');
          const seen = await polling.stop();
          expect(seen.views).toEqual([view('iter6.1', '7.0-3'), view('iter7.1', '7.0-4')]);
          expect(await views()).toEqual(['baseline', 'iter5.1', 'iter6.1', 'iter7.1']);
        },
      ),
  );

  faultRow(
    'publisher-killed',
    'at every failpoint that was not met until now: none is left out',
    async () => {
      const missed = everywhere.filter((point) => !met.has(point.name) && !isMidway(point));
      if (missed.length > 0)
        await killedAt({
          iteration: 'iter8',
          plan: [[/from: 7\.0-1\n( +)to: 7\.0-2/, 'from: 7.0-4\n$1to: 7.0-5\n$1installed: 7.0-1']],
          at: missed,
          how: () => 'alone',
          seen: [view('iter7.1', '7.0-4'), view('iter8.1', '7.0-5')],
        });
      expect(everywhere.filter((point) => !met.has(point.name) && !isMidway(point))).toEqual([]);
    },
  );
});
