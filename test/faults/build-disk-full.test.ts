import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { parse } from 'yaml';
import type { BuilderConfig } from '../../schemas/config.ts';
import type { Failure } from '../../schemas/steps.ts';
import { planVariant } from '../plan-variant.ts';
import type { TestFleet } from '../test-fleet.ts';
import { startFailpointFleet } from './failpoint-fleet.ts';
import type { Failpoints } from './failpoints.ts';
import { faultRow } from './fault-row.ts';
import { iterationUnderWay } from './iteration-under-way.ts';
import { setPower, waitUntil } from './sandbox-faults.ts';
import { fillDisk, mayMount, mountSmallDisk, resizeDisk, unmountDisk } from './small-disk.ts';

const mounted: string[] = [];
const mountSmall = async (folder: string, size: string) => {
  mounted.push(folder);
  await mountSmallDisk(folder, size);
};

describe.runIf(mayMount)('a disk that is full', () => {
  let fleet: TestFleet;
  let points: Failpoints;
  let iter5: ReturnType<typeof iterationUnderWay>;

  beforeAll(async () => {
    ({ fleet, points } = await startFailpointFleet('fault-disk'));
    iter5 = iterationUnderWay(fleet, await planVariant(fleet.folder, { iteration: 'iter5' }), 'iter5');
  });
  afterAll(async () => {
    await fleet?.down();
    for (const folder of mounted.reverse()) await unmountDisk(folder);
    await fleet?.remove();
  });

  const failed = async (type: string, nth = 1) => (await iter5.event(type, nth)).data as Failure;
  const worktreesOf = async (host: 'boltzmann' | 'fermi') => {
    const config: BuilderConfig = parse(await readFile(fleet.places.config(host), 'utf8'));
    return config.makepkg.worktreesFolder;
  };

  faultRow(
    'disk-full',
    'on a builder, before the build: refused, nothing is begun, and the other builder takes over',
    async () => {
      await mountSmall(fleet.places.offered('boltzmann'), '8m');
      await points.arm('fermi', 'build packages running');
      await iter5.start();
      await iter5.approve();
      const { fault, reason, begun } = await failed('BuildFailed');
      expect({ fault, begun }).toEqual({ fault: 'host', begun: [] });
      expect(reason).toMatch(
        /^8\.0 MB are free in .*boltzmann\/offered and a build needs 64\.0 MB: make room there\.$/,
      );
      expect(await readdir(fleet.places.offered('boltzmann'))).toEqual([]);
    },
  );

  faultRow(
    'disk-full',
    'on a builder, in the middle of makepkg: no half package is offered; with room, a retry builds',
    async () => {
      await points.waitReached({ host: 'fermi' });
      const worktrees = await worktreesOf('fermi');
      await setPower(fleet, 'fermi', 'off'); // a program that it has started still works there
      await mountSmall(worktrees, '16m');
      const ballast = fillDisk(worktrees, 128 * 1024);
      await setPower(fleet, 'fermi', 'on');
      const { fault, reason } = await failed('BuildFailed', 2);
      expect(fault).toBe('host');
      expect(reason).toMatch(/no (space|room) left on .*disk/);
      expect(await readdir(fleet.places.offered('fermi'))).toEqual([]);
      expect(await iter5.failure()).toContain('build on fermi: ');

      await ballast.drop();
      await resizeDisk(fleet.places.offered('boltzmann'), '512m');
      await mountSmall(fleet.places.packageRepository, '1m'); // for the next row
      await iter5.retry();
      const { packages } = await iter5.evidence('build');
      const offered = await readdir(join(fleet.places.offered('boltzmann'), 'iter5.3'));
      expect(offered.sort()).toEqual([...packages.map(({ file }) => file), 'offer.json'].sort());
    },
  );

  faultRow(
    'disk-full',
    'on the publisher: refused before anything is fetched; later, the repository is as it was',
    async () => {
      const repository = fleet.places.packageRepository;
      const work = join(fleet.places.host('hertz'), 'state/work');
      const served = async () => ({
        ...(await fleet.world()),
        views: await readdir(join(repository, 'views')),
      });
      const isTidy = async () => (await readdir(work)).length === 0;
      const refused = await failed('PublishFailed');
      expect(refused).toMatchObject({ fault: 'host', begun: ['trial'] });
      expect(refused.reason).toMatch(
        /^0\.\d MB are free in .*hertz\/repository and the publication needs 4\.0 MB: make room there\.$/,
      );
      expect(await iter5.failure(2)).toContain('make room there');
      const before = await served();

      // The disk is full only after the step has begun: while it fetches, signs, or builds the view.
      await resizeDisk(repository, '64m');
      // The folder of the attempt is removed after its outcome.
      await waitUntil("hertz's work folder is empty", isTidy);
      await mountSmall(work, '8m');
      const fillings = [
        ['publish fetch intent', 'state/work'],
        ['publish fetch result', 'state/work'],
        ['publish sign result', 'repository/views'],
      ] as const;
      for (const [index, [point, says]] of fillings.entries()) {
        await points.arm('hertz', point);
        await iter5.retry();
        const reached = await points.waitReached({ host: 'hertz', name: point });
        // The agent removes everything in its work folder that belongs to no open attempt.
        const full = says === 'state/work' ? join(work, `publish.iter5.${index + 2}`) : repository;
        const ballast = fillDisk(full, 4096);
        await points.kill(reached, 'alone');
        const { fault, reason } = await failed('PublishFailed', index + 2);
        expect(fault).toBe('host');
        expect(reason).toMatch(new RegExp(`^There is no room left on the disk of .*hertz/${says}`));
        await iter5.failure(index + 3);
        await ballast.drop();
        expect(await served()).toEqual(before);
      }
      await waitUntil("hertz's work folder is empty", isTidy);

      await iter5.retry();
      await iter5.event('IterationClosed');
      expect((await served()).views).toHaveLength(before.views.length + 1);
    },
  );
});
