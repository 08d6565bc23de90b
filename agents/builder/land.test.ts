import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agreeing } from '../../coordinator/testing/example-attestation.ts';
import type { Run } from '../../host/run.ts';
import type { BuilderConfig } from '../../schemas/config.ts';
import type { EffectName } from '../../schemas/effects.ts';
import { type Plan, patchOf, patchText } from '../../schemas/plan.ts';
import type { ApprovedTree } from '../../schemas/reviewed.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { runStep } from '../../test/run-step.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { Step, StepContext } from '../runtime/step.ts';
import { land } from './land.ts';
import { addIncludes } from './manifest.ts';
import { bumpPkgbuild } from './pkgbuild/pkgbuild.ts';
import { preflight } from './preflight.ts';
import { patchsetHash, readSeries } from './series/series.ts';
import { agreed } from './testdata/agreed.ts';
import { gitIn, makeFleet, manifestText, pushFiles, type TestFleet } from './testdata/repositories.ts';

let fleet: TestFleet;
/** The trees that preflight found first for each iteration, and that people have approved. */
let found: Map<string, ApprovedTree[]>;
beforeEach(async () => {
  fleet = await makeFleet();
  found = new Map();
});
afterEach(() => fleet.remove());

const nothing: ApprovedTree[] = [{ purpose: 'packaging', tree: '0'.repeat(40) }];
const treesOf = async (
  iteration: string,
  { series, package: packageAt }: Landing,
): Promise<ApprovedTree[]> => {
  const request = { ...fleet.preflight, series, package: packageAt };
  const trees =
    found.get(iteration) ??
    (await runStep('preflight', preflight, request, fleet.host, {
      folder: await fleet.runFolder(),
      iteration,
    }).then(
      ({ evidence }) => [
        { purpose: 'series', tree: evidence.tree },
        { purpose: 'packaging', tree: evidence.packagingTree },
      ],
      () => nothing,
    ));
  found.set(iteration, trees);
  return trees;
};

type Land = Step<'land', BuilderConfig>;
type Landing = TestFleet['land'];
const go = async (
  folder: string,
  {
    request = fleet.land,
    attempt = 1,
    iteration = 'iter5',
    step = land,
  }: {
    /** One without approvals gets them. */
    request?: Landing | StepRequest<'land'>;
    attempt?: number;
    iteration?: string;
    step?: Land;
  } = {},
) => {
  const asked =
    'approved' in request
      ? request
      : agreed(request, { iteration, trees: await treesOf(iteration, request) });
  return (await runStep('land', step, asked, fleet.host, { folder, attempt, iteration })).evidence;
};

/**
 * The step with a callback around each program that it runs. What `before` or `after` throws acts like a SIGKILL at
 * that point.
 */
const watched =
  (watch: {
    before?: (argv: readonly string[]) => unknown;
    after?: (argv: readonly string[]) => unknown;
  }): Land =>
  (request, context: StepContext<BuilderConfig, EffectName<'land'>>) => {
    const run: Run = async (argv, options) => {
      await watch.before?.(argv);
      const ran = await context.run(argv, options);
      await watch.after?.(argv);
      return ran;
    };
    return land(request, { ...context, run });
  };

const at = (repository: 'kernel-agent' | 'packages', path: string) =>
  gitIn(fleet.paths[repository], 'show', `main:${path}`);
const count = async (repository: 'kernel-agent' | 'packages') =>
  Number(await gitIn(fleet.paths[repository], 'rev-list', '--count', 'main'));
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

const isPushOf = (name: string) => (argv: readonly string[]) =>
  argv.includes('push') && argv.some((word) => word.endsWith(`/${name}.git`));

describe('land', () => {
  it('makes one commit in each repository, and shows what they hold', async () => {
    const evidence = await go(await fleet.runFolder());
    const [first, second] = fleet.land.series.patches;
    expect(await at('kernel-agent', 'fleet/fresnel.yaml')).toBe(
      manifestText
        .replace(
          '# the spi one\n',
          `# the spi one\n  - subsystem/media/fence/${first?.file}\n  - subsystem/media/fence/${second?.file}\n`,
        )
        .trim(),
    );
    const [manifest, packages] = evidence.commits;
    expect(manifest?.files).toContainEqual({
      path: `patches/subsystem/media/fence/${first?.file}`,
      sha256: first?.sha256,
    });
    expect(packages?.files).toContainEqual({
      path: `arch/linux-fresnel/${second?.file}`,
      sha256: second?.sha256,
    });
    expect(packages?.files).toContainEqual({
      path: 'arch/linux-fresnel/PKGBUILD',
      sha256: sha256(`${await at('packages', 'arch/linux-fresnel/PKGBUILD')}\n`),
    });
    expect(evidence.includes.before).toEqual(['board/pbp/0001-old.patch']);
    expect(evidence.includes.after).toHaveLength(3);
    expect(evidence.bump).toMatchObject({ from: '7.0-1', to: '7.0-2' });
    expect(await gitIn(fleet.paths.packages, 'log', '-1', '--format=%an%n%B', 'main')).toBe(
      'kernel-agent\nlinux-fresnel: bump to 7.0-2\n\nFences\n\nKa-Iteration: iter5\nKa-Request: iter5/land/1/package',
    );
    expect(packages?.commit).toBe(await gitIn(fleet.paths.packages, 'rev-parse', 'main'));
    expect([await count('kernel-agent'), await count('packages')]).toEqual([2, 2]);
  });

  it('killed after the push and before its result, finds its commit', async () => {
    const folder = await fleet.runFolder();
    const isPush = isPushOf('packages');
    const killed = watched({
      after: (argv) => {
        if (isPush(argv)) throw new Error('killed');
      },
    });
    await expect(go(folder, { step: killed })).rejects.toThrow('killed');
    expect([await count('kernel-agent'), await count('packages')]).toEqual([2, 2]);
    const evidence = await go(folder);
    expect([await count('kernel-agent'), await count('packages')]).toEqual([2, 2]);
    expect(evidence.bump).toMatchObject({ from: '7.0-1', to: '7.0-2' });
    expect(evidence.includes.before).toHaveLength(1);
  });

  it('killed between the two commits on one builder, is finished by another', async () => {
    const isPush = isPushOf('packages');
    const killed = watched({
      before: (argv) => {
        if (isPush(argv)) throw new Error('killed');
      },
    });
    await expect(go(await fleet.runFolder(), { step: killed })).rejects.toThrow('killed');
    const evidence = await go(await fleet.runFolder(), { attempt: 2 });
    expect([await count('kernel-agent'), await count('packages')]).toEqual([2, 2]);
    expect(evidence.commits.map(({ files }) => files.length)).toEqual([3, 3]);
  });

  it('keeps what somebody else pushes at the same time', async () => {
    const isPush = isPushOf('kernel-agent');
    let pushed = false;
    const raced = watched({
      before: async (argv) => {
        if (!isPush(argv) || pushed) return;
        pushed = true;
        await pushFiles(fleet.paths['kernel-agent'], {
          'fleet/fresnel.yaml': manifestText.replace('aarch64', 'aarch64 # theirs'),
        });
      },
    });
    const evidence = await go(await fleet.runFolder(), { step: raced });
    expect(await at('kernel-agent', 'fleet/fresnel.yaml')).toContain('# theirs');
    expect(evidence.includes.after).toHaveLength(3);
    expect(await count('kernel-agent')).toBe(3);
  });

  it('replaces a patch that a later iteration has changed, and adds nothing twice', async () => {
    const [first, second] = fleet.land.series.patches;
    if (!first || !second) throw new Error('no series');
    const folder = 'arch/linux-fresnel';
    const landed = bumpPkgbuild(`${await at('packages', `${folder}/PKGBUILD`)}\n`, {
      pkgrel: '2',
      addPatches: [first, second].map(({ file, sha256: sum }) => ({ file, sums: () => sum })),
    });
    await pushFiles(fleet.paths.packages, {
      [`${folder}/PKGBUILD`]: landed,
      [`${folder}/${first.file}`]: patchText(first),
      [`${folder}/${second.file}`]: patchText(second),
    });
    const entries = [first, second].map(({ file }) => `subsystem/media/fence/${file}`);
    await pushFiles(fleet.paths['kernel-agent'], {
      'fleet/fresnel.yaml': addIncludes(manifestText, entries).text,
    });
    const text = patchText(second).replace('Opt in.', 'Opt in to the fence.');
    const patches = [first, patchOf(second.file, Buffer.from(text))];
    const evidence = await go(await fleet.runFolder(), {
      iteration: 'iter6',
      request: {
        ...fleet.land,
        series: { ...fleet.land.series, patches },
        patchset: patchsetHash(readSeries(patches)),
        package: { ...fleet.land.package, from: '7.0-2', to: '7.0-3' },
      },
    });
    expect(evidence.bump.changes).toEqual([
      { section: 'linux-fresnel', key: 'pkgrel', before: ['2'], after: ['3'] },
      { section: 'linux-fresnel', key: 'sha256sums', before: [second.sha256], after: [sha256(text)] },
    ]);
    expect(evidence.includes.after).toEqual(evidence.includes.before);
    expect(`${await at('packages', `arch/linux-fresnel/${second.file}`)}\n`.trim()).toBe(text.trim());
  });

  it('pushes nothing if the package is not what the plan starts from, or the series is another one', async () => {
    await pushFiles(fleet.paths.packages, {
      'arch/linux-fresnel/PKGBUILD': `${await at('packages', 'arch/linux-fresnel/PKGBUILD')}\npkgrel=4\n`,
    });
    const error = await go(await fleet.runFolder()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(StepFailed);
    expect(error).toMatchObject({ fault: 'work', message: expect.stringContaining('has the version 7.0-4') });
    const request = { ...fleet.land, patchset: '0'.repeat(64) };
    await expect(go(await fleet.runFolder(), { request })).rejects.toThrow('preflight has seen 000');
    expect(await count('kernel-agent')).toBe(1);
  });
});

describe('lands only what people have agreed to', () => {
  const asked = async (how: Partial<Agreeing> = {}) =>
    agreed(fleet.land, { iteration: 'iter5', trees: await treesOf('iter5', fleet.land), ...how });
  const refusal = async (request: StepRequest<'land'>): Promise<string> => {
    const error = await go(await fleet.runFolder(), { request }).catch((thrown: unknown) => thrown);
    if (!(error instanceof StepFailed)) throw new Error('was not refused', { cause: error });
    expect([await count('kernel-agent'), await count('packages')]).toEqual([1, 1]);
    return error.message;
  };

  it('refuses a request without a start, and one with the start of another plan or another person', async () => {
    const good = await asked();
    const { start: _none, ...unstarted } = good.approved;
    expect(await refusal({ ...good, approved: unstarted })).toContain('no start that a person has signed');
    const other = await asked({ change: (plan) => Object.assign(plan, { goBack: 'phase 1' }) });
    const { start } = other.approved;
    expect(await refusal({ ...good, approved: { ...good.approved, start } })).toContain(
      'its start is of iter5',
    );
    const [approval = start] = good.approved.approvals;
    expect(await refusal({ ...good, approved: { ...good.approved, start: approval } })).toContain(
      "its start is @architect's ReviewApproved",
    );
  });

  it('refuses a plan that people have not approved, and a request that is not what the plan says', async () => {
    const good = await asked();
    const planText = good.approved.planText.replace('phase 0', 'phase 1');
    expect(await refusal({ ...good, approved: { ...good.approved, planText } })).toContain(
      'not those of the hash',
    );
    const elsewhere = { ...good, package: { ...good.package, folder: 'arch/other' } };
    expect(await refusal(elsewhere)).toContain('the package is');
    expect(await refusal({ ...good, title: 'Harmless' })).toContain('the title is "Harmless"');
  });

  it('refuses without every approval that plan and fleet want', async () => {
    expect(await refusal(await asked({ approvers: [] }))).toContain('Nobody has approved');
    const both = (plan: Plan) => void plan.review.approvals.push('mfritsche');
    expect(await refusal(await asked({ change: both }))).toContain(
      'asks for the approval of mfritsche as well',
    );
    const alone = (plan: Plan) =>
      void Object.assign(plan.review, { approvals: ['mfritsche'], authorMayApprove: true });
    expect(await refusal(await asked({ change: alone, approvers: ['mfritsche'] }))).toContain(
      'mfritsche has started it, and beside mfritsche 0 of 1 people have approved',
    );
    const trees = [{ purpose: 'packaging', tree: '0'.repeat(40) }];
    const elsewhere = await asked({ trees });
    const good = await asked();
    const { approvals } = elsewhere.approved;
    expect(await refusal({ ...good, approved: { ...good.approved, approvals } })).toContain(
      'has approved the trees packaging 000',
    );
  });

  it('refuses an approval that had expired when the landing was asked for, by the log server’s clock', async () => {
    const request = await asked();
    const refusedAt = async (time: string) =>
      runStep('land', land, request, fleet.host, {
        folder: await fleet.runFolder(),
        askedAt: Date.parse(time),
      });
    await expect(refusedAt('2099-01-01T00:01:00Z')).rejects.toMatchObject({
      fault: 'work',
      message: expect.stringContaining("@architect's has expired at 2099-01-01T00:00:00Z"),
    });
    expect([await count('kernel-agent'), await count('packages')]).toEqual([1, 1]);
    await refusedAt('2098-12-31T23:59:59Z');
    expect([await count('kernel-agent'), await count('packages')]).toEqual([2, 2]);
  });

  it('refuses a package that somebody has changed since preflight, and says what differs', async () => {
    const request = await asked();
    const file = 'arch/linux-fresnel/PKGBUILD';
    const changed = `${await at('packages', file)}\n`.replace('  make\n', '  make\n  echo planted\n');
    await pushFiles(fleet.paths.packages, { [file]: changed });
    const error = await go(await fleet.runFolder(), { request }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      fault: 'work',
      code: 'moved',
      message: expect.stringContaining('ka retry'),
    });
    expect([await count('kernel-agent'), await count('packages')]).toEqual([1, 2]);
  });
});
