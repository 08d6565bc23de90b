import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashFile } from '../../host/hash-file.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { reconfigure, waitUntil } from '../faults/sandbox-faults.ts';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { isThorough } from './thorough.ts';

/** An even number: the last one has to fail. Fifty take twenty minutes or so; KA_ITERATIONS=4 tries the test itself. */
const iterations = Number(process.env.KA_ITERATIONS ?? 50);
const limit = { number: 3 };
/** The first that fails is the second: what it goes back to has been installed by one that closed. The last one fails too. */
const fails = (nth: number) => nth % 2 === 0;

let fleet: TestFleet;

/** Plans each go from what was landed last; the board has what the last one that closed has left there. */
const planOf = (nth: number, installed: number): Promise<string> => {
  const from = nth === 1 ? '7.0-1' : `7.0-${nth}`;
  const installedBefore = `\n$1installed: 7.0-${installed}`;
  return planVariant(fleet.folder, {
    iteration: `iter${nth}`,
    variants: fails(nth) ? ['no-repair'] : [],
    plan: [[/from: 7\.0-1\n( +)to: 7\.0-2/, `from: ${from}\n$1to: 7.0-${nth + 1}${installedBefore}`]],
  });
};

const namesIn = (...folders: string[]) => readdir(join(...folders)).catch(() => []);

/** Bytes below folders, a file with several names once. */
const bytesBelow = async (...folders: string[]): Promise<number> => {
  const { stdout } = await execa('du', ['--bytes', '--summarize', '--total', '--', ...folders]);
  return Number(stdout.split('\n').at(-1)?.split('\t')[0]);
};

/** What hosts keep of iterations, but for the log: nats-server's, the coordinator's copy, journals, and the repositories. */
const kept = () => {
  const { places } = fleet;
  return bytesBelow(
    ...(['boltzmann', 'fermi'] as const).map((host) => places.offered(host)),
    join(places.packageRepository, 'views'),
    places.mirror,
    join(places.shared),
    join(places.host('fresnel'), 'state/backups'),
    join(places.host('boltzmann'), 'worktrees'),
  );
};

/** Bytes after each iteration. */
const growth: number[] = [];
let before: Awaited<ReturnType<TestFleet['board']>>;

describe.runIf(isThorough)(`${iterations} iterations in one sandbox, with small limits`, () => {
  beforeAll(async () => {
    fleet = await startTestFleet('fifty');
    for (const host of ['boltzmann', 'fermi'] as const)
      await reconfigure(fleet, host, ({ keep }) => Object.assign(keep, { offers: limit, effects: limit }));
    await reconfigure(fleet, 'hertz', ({ keep }) =>
      Object.assign(keep, { views: limit, packages: limit, effects: limit }),
    );
    await reconfigure(fleet, 'fresnel', ({ keep }) =>
      Object.assign(keep, { backups: limit, copies: limit, effects: limit }),
    );
    let installed = 1;
    for (let nth = 1; nth <= iterations; nth += 1) {
      const plan = await planOf(nth, installed);
      before = await fleet.board();
      const { stdout, stderr } = await fleet.carry(plan);
      const ended = fails(nth) ? /FAILED: sweep: .*the board was rolled back/ : /CLOSED: C1 PASS/;
      expect(`${stdout}\n${stderr}`, `iter${nth}`).toMatch(ended);
      if (!fails(nth)) installed = nth + 1;
      growth.push(await kept());
    }
  }, 3_600_000);
  afterAll(() => fleet?.remove(), 60_000);

  it('disks stay within the limits, and stop growing', async () => {
    const { places } = fleet;
    expect((await namesIn(places.offered('boltzmann'))).length).toBeLessThanOrEqual(limit.number);
    expect((await namesIn(places.packageRepository, 'views')).length).toBeLessThanOrEqual(limit.number + 1);
    const packages = (folder: string) =>
      namesIn(folder).then((names) => names.filter((name) => /^linux-.*-headers-.*\.zst$/.test(name)));
    expect((await packages(join(places.packageRepository, 'current'))).length).toBeLessThanOrEqual(
      limit.number + 1,
    );
    expect((await packages(places.mirror)).length).toBeLessThanOrEqual(limit.number + 1);
    for (const folder of [join(places.host('fresnel'), 'state/backups'), join(places.shared, 'fresnel')]) {
      const archives = (await readdir(folder, { recursive: true })).filter((name) =>
        /\.tar\.zst$/.test(name),
      );
      expect(archives.length, folder).toBeLessThanOrEqual(limit.number);
    }
    const [early, last] = [growth[9], growth.at(-1)];
    if (early && last) expect(last / early).toBeLessThan(1.1);
  });

  it('the rollback of the last one has worked', async () => {
    const after = await fleet.board();
    expect(after.bootId).not.toBe(before.bootId);
    expect(after).toEqual({ ...before, bootId: after.bootId });
  });

  it('nothing that the last one needed was removed', async () => {
    const { places } = fleet;
    const name = `iter${iterations}`;
    const events = await fleet.events(name);
    const asked = events.findLast(({ event }) => event.type === 'RollbackRequested')?.event;
    if (asked?.kind !== 'step' || asked.fact !== 'Requested') throw new Error(`${name} has no rollback`);
    const { backup } = asked.data.request as StepRequest<'rollback'>;
    for (const folder of [
      join(places.host('fresnel'), 'state/backups', backup.version),
      join(places.shared, backup.place),
    ])
      expect((await hashFile(join(folder, backup.archive.file))).sha256).toBe(backup.archive.sha256);
    expect(await namesIn(places.offered('boltzmann'))).toContain(`${name}.1`);
    const views = await namesIn(places.packageRepository, 'views');
    expect(views).toEqual(expect.arrayContaining([`${name}.1`, `iter${iterations - 1}.1`]));
  });

  it('journals keep their events, and the effects of a few iterations', async () => {
    for (const host of ['boltzmann', 'hertz', 'fresnel'] as const) {
      const db = new Database(join(fleet.places.host(host), 'state/journal.db'), { readonly: true });
      const count = (what: string) => db.prepare(`SELECT count(DISTINCT ${what}`).pluck().get();
      expect(count('iteration) FROM request')).toBe(iterations);
      expect(count('iteration) FROM effect')).toBeLessThanOrEqual(limit.number);
      expect(count('subject) FROM outbox')).toBeGreaterThan(iterations);
      db.close();
    }
  });

  it('ka fleet shows what is used', async () => {
    const shown = async () => {
      const { stdout } = await fleet.ka('fleet', '--json');
      const { hosts } = JSON.parse(stdout) as {
        hosts: { host: string; disks: { kind: string; number: number; limit: { number?: number } }[] }[];
      };
      return hosts.flatMap(({ host, disks }) =>
        disks.map((disk) => ({ what: `${host} ${disk.kind}`, ...disk })),
      );
    };
    const kinds = ['boltzmann offers', 'boltzmann trees', 'hertz views', 'fresnel backups', 'fresnel copies'];
    // It is looked at beside the work, and said with the next presence.
    await waitUntil('every host shows what it keeps', async () => {
      const whats = (await shown()).map(({ what }) => what);
      return kinds.every((kind) => whats.includes(kind));
    });
    for (const { what, number, limit } of await shown())
      expect(number, what).toBeLessThanOrEqual(limit.number ?? number);
  });

  it('everything is decided again as it was', async () => {
    expect((await fleet.ka('replay', '--check')).exitCode).toBe(0);
  });
});
