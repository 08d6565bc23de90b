import { cp, mkdir, readdir, readFile, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
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

/** A disk of its own for a folder, with what the folder holds: only root can do that. */
const mounted: string[] = [];
const mount = async (folder: string, size: string) => {
  const held = `${folder}.held`;
  await mkdir(folder, { recursive: true });
  await cp(folder, held, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  await execa('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'tmpfs', folder]);
  mounted.push(folder);
  await cp(held, folder, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  await rm(held, { recursive: true });
};
const resize = (folder: string, size: string) => execa('mount', ['-o', `remount,size=${size}`, folder]);
/** Leaves so many bytes of a folder's disk free. */
const fill = async (folder: string, leaveBytes = 4096) => {
  const { bavail, bsize } = await statfs(folder);
  const bytes = Math.max(0, bavail * bsize - leaveBytes);
  await execa('fallocate', ['-l', String(bytes), join(folder, '.ballast')]);
};
const makeRoom = (folder: string) => rm(join(folder, '.ballast'), { force: true });

describe.runIf(process.getuid?.() === 0)('a disk that is full', () => {
  let fleet: TestFleet;
  let points: Failpoints;
  let iter5: ReturnType<typeof iterationUnderWay>;

  beforeAll(async () => {
    ({ fleet, points } = await startFailpointFleet('fault-disk'));
    iter5 = iterationUnderWay(fleet, await planVariant(fleet.folder, { iteration: 'iter5' }), 'iter5');
  });
  afterAll(async () => {
    await fleet?.down();
    for (const folder of mounted.reverse()) await execa('umount', ['-l', folder]);
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
      await mount(fleet.places.offered('boltzmann'), '8m');
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
      const reached = await points.waitReached({ host: 'fermi' });
      const worktrees = await worktreesOf('fermi');
      await mount(worktrees, '400m');
      await fill(worktrees, 128 * 1024);
      await points.kill(reached, 'with children');
      const { fault, reason } = await failed('BuildFailed', 2);
      expect(fault).toBe('host');
      expect(reason).toMatch(/no (space|room) left on .*disk/);
      expect(await readdir(fleet.places.offered('fermi'))).toEqual([]);
      expect(await iter5.failure()).toContain('build on fermi: ');

      await makeRoom(worktrees);
      await resize(fleet.places.offered('boltzmann'), '512m');
      await mount(fleet.places.packageRepository, '1m'); // for the next row
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
      const refused = await failed('PublishFailed');
      expect(refused).toMatchObject({ fault: 'host', begun: ['trial'] });
      expect(refused.reason).toMatch(
        /^0\.\d MB are free in .*hertz\/repository and the publication needs 4\.0 MB: make room there\.$/,
      );
      expect(await iter5.failure(2)).toContain('make room there');
      const before = await served();

      // Full only once it has begun: while it fetches, signs, builds the view.
      await resize(repository, '64m');
      await mount(work, '8m');
      const fillings = [
        ['publish fetch intent', 'state/work'],
        ['publish fetch result', 'state/work'],
        ['publish sign result', 'repository/views'],
      ] as const;
      for (const [index, [point, says]] of fillings.entries()) {
        await points.arm('hertz', point);
        await iter5.retry();
        const reached = await points.waitReached({ host: 'hertz', name: point });
        // The agent takes away what is in its work folder and not an open attempt's.
        const full = says === 'state/work' ? join(work, `publish.iter5.${index + 2}`) : repository;
        await fill(full);
        await points.kill(reached, 'alone');
        const { fault, reason } = await failed('PublishFailed', index + 2);
        expect(fault).toBe('host');
        expect(reason).toMatch(new RegExp(`^There is no room left on the disk of .*hertz/${says}`));
        await iter5.failure(index + 3);
        await makeRoom(full);
        expect(await served()).toEqual(before);
      }
      await sleep(200); // the folder of the attempt is taken away after its outcome
      expect(await readdir(work)).toEqual([]);

      await iter5.retry();
      await iter5.event('IterationClosed');
      expect((await served()).views).toHaveLength(before.views.length + 1);
    },
  );
});
