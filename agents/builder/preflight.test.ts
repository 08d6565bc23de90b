import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { patchText } from '../../schemas/plan.ts';
import { runStep } from '../../test/run-step.ts';
import { StepFailed } from '../runtime/errors.ts';
import { preflight } from './preflight.ts';
import { patchsetHash, readSeries } from './series/series.ts';
import {
  consumer,
  type Files,
  gitIn,
  helper,
  makeFleet,
  makeSeries,
  pushFiles,
  type TestFleet,
} from './testdata/repositories.ts';

let fleet: TestFleet;
beforeEach(async () => {
  fleet = await makeFleet();
});
afterEach(() => fleet.remove());

const look = async (request = fleet.preflight) =>
  (await runStep('preflight', preflight, request, fleet.host, { folder: await fleet.runFolder() })).evidence;

const failure = async (request = fleet.preflight): Promise<StepFailed> => {
  const error = await look(request).catch((thrown: unknown) => thrown);
  if (!(error instanceof StepFailed)) throw new Error('did not fail as decided', { cause: error });
  return error;
};

/** A request that fails before makepkg is asked. */
const withoutPackage = () => ({
  ...fleet.preflight,
  package: { ...fleet.preflight.package, branch: 'none' },
});

const withSeries = async (...changes: Files[]) => {
  const patches = await makeSeries(
    fleet.paths.linux,
    changes.map((files, order) => ({ subject: `change ${order}`, files })),
  );
  return { ...fleet.preflight, series: { ...fleet.preflight.series, patches } };
};

const rkvdec = (from: string, to: string): Files => ({
  'drivers/rkvdec.c': (consumer['drivers/rkvdec.c'] ?? '').replace(from, to),
});

describe('preflight', () => {
  it('shows the tree that git am would make, each patch, and what the bump changes', async () => {
    const evidence = await look();
    const [first, second] = evidence.patches;
    expect(evidence.baseline.commit).toBe(fleet.preflight.baseline.commit);
    expect(evidence.patchset).toBe(patchsetHash(readSeries(fleet.preflight.series.patches)));
    expect(first).toMatchObject({
      author: 'Markus <markus@example.org>',
      subject: 'media: vb2: add a fence',
      status: 'applied',
      files: [
        { path: 'drivers/vb2.c', added: 8, removed: 0 },
        { path: 'include/media/vb2.h', added: 1, removed: 0 },
      ],
      defines: ['vb2_attach_fence'],
    });
    expect(second?.uses).toEqual(['vb2_attach_fence']);
    expect(evidence.symbols).toContainEqual({
      symbol: 'vb2_done',
      listed: true,
      usedBy: [],
      hits: 4,
      definedIn: 'drivers/vb2.c:3',
      exported: true,
      status: 'found',
    });
    expect(evidence.symbols.find(({ symbol }) => symbol === 'vb2_attach_fence')).toMatchObject({
      status: 'from-series',
      hits: 0,
      definedIn: first?.file,
      exported: true,
    });
    expect(evidence.bump).toMatchObject({ from: '7.0-1', to: '7.0-2' });
    expect(evidence.bump.changes.map(({ key }) => key).sort()).toEqual(['pkgrel', 'sha256sums', 'source']);
    expect(evidence.packaging).toMatchObject({
      since: null,
      diff: expect.stringMatching(/^diff --git a\/PKGBUILD/),
    });
    // Beside the series, the package's own patch adds a file.
    expect(evidence.prepared.beside).toEqual({
      folder: 'linux-7.0',
      count: 1,
      files: [{ status: 'A', path: 'drivers/old.c' }],
    });
    expect(evidence.expectedFiles).toEqual([
      'linux-fresnel-7.0-2-aarch64.pkg.tar.zst',
      'linux-fresnel-headers-7.0-2-aarch64.pkg.tar.zst',
    ]);
    expect(evidence.release).toEqual({ predicted: '7.0.0-fresnel', namesPkgrel: false });

    const clone = await fleet.runFolder();
    await gitIn(clone, 'clone', '-q', '-b', 'v7.0', fleet.paths.linux, '.');
    for (const patch of fleet.preflight.series.patches) {
      const { file } = patch;
      await writeFile(join(clone, file), patchText(patch));
      await gitIn(clone, 'am', '-q', file);
    }
    expect(await gitIn(clone, 'rev-parse', 'HEAD^{tree}')).toBe(evidence.tree);
  });

  it('names patch, file and hunk of every conflict, and checks the patches after one', async () => {
    const request = await withSeries(
      { 'drivers/rkvdec.c': (consumer['drivers/rkvdec.c'] ?? '').replace('vb2_done(vb)', 'vb2_done(vb), 0') },
      { 'drivers/vb2.c': helper['drivers/vb2.c'] ?? '' },
      { 'drivers/new.c': 'int x;\n' },
    );
    const moved = (consumer['drivers/rkvdec.c'] ?? '')
      .replace('\tvb2_queue(vb);\n', '\tint other = vb2_queue(vb);\n')
      .replace('\t(void)vb2_attach_fence(vb);\n', '')
      .replace('vb2_done(vb)', 'vb2_done(0)');
    const commit = await pushFiles(fleet.paths.linux, {
      'drivers/rkvdec.c': moved,
      'drivers/new.c': 'int y;\n',
    });
    await gitIn(fleet.paths.linux, 'tag', 'v7.1', commit);
    const error = await failure({ ...request, baseline: { repository: 'linux', tag: 'v7.1', commit } });
    expect(error.fault).toBe('work');
    expect(error.message).toContain(
      'on v7.1, patch 0001-change-0.patch conflicts in drivers/rkvdec.c at @@ -3,6 +3,8 @@;',
    );
    expect(error.message).toContain(
      '0003-change-2.patch conflicts in drivers/new.c at already exists in index',
    );
    const { patches } = error.seen as { patches: { status: string; conflicts: unknown[] }[] };
    expect(patches.map(({ status }) => status)).toEqual(['conflict', 'applied', 'conflict']);
    expect(patches[0]?.conflicts).toHaveLength(2);
  });

  it('recognizes a patch that is already there, and has nothing to land if all are', async () => {
    const commit = await pushFiles(fleet.paths.linux, helper);
    await gitIn(fleet.paths.linux, 'tag', 'v7.1', commit);
    const request = { ...withoutPackage(), baseline: { repository: 'linux', tag: 'v7.1', commit } };
    const { seen } = await failure(request);
    expect(seen).toMatchObject({ patches: [{ status: 'already-there' }, { status: 'applied' }] });
    const all = await pushFiles(fleet.paths.linux, consumer);
    await gitIn(fleet.paths.linux, 'tag', 'v7.2', all);
    const error = await failure({ ...request, baseline: { repository: 'linux', tag: 'v7.2', commit: all } });
    expect(error.message).toContain('nothing to land');
  });

  it('refuses a baseline that has moved, naming both commits, and a tag that is not there', async () => {
    await failure(withoutPackage());
    const commit = await pushFiles(fleet.paths.linux, { README: 'moved\n' });
    await gitIn(fleet.paths.linux, 'tag', '-f', 'v7.0', commit);
    const error = await failure();
    expect(error).toMatchObject({ fault: 'work' });
    expect(error.message).toContain(commit);
    expect(error.message).toContain(fleet.preflight.baseline.commit);
    const none = await failure({ ...fleet.preflight, baseline: { ...fleet.preflight.baseline, tag: 'v9' } });
    expect(none.message).toBe('"linux" has no tag v9; its newest are v7.0');
  });

  it('names a symbol that nobody defines, and the patch that uses it', async () => {
    const error = await failure(
      await withSeries(rkvdec('(void)vb2_attach_fence(vb)', 'vb2_old_name(vb), vb2_queue(RKVDEC_NEW_FLAG)')),
    );
    expect(error.message).toBe(
      '0001-change-0.patch uses RKVDEC_NEW_FLAG, which neither the baseline nor the series defines; ' +
        '0001-change-0.patch uses vb2_old_name, which neither the baseline nor the series defines',
    );
    expect(error.seen).toMatchObject({
      symbols: expect.arrayContaining([expect.objectContaining({ status: 'missing' })]),
    });
    const listed = await failure({ ...fleet.preflight, symbols: ['dma_fence_init'] });
    expect(listed.message).toMatch(/^the plan lists dma_fence_init, which neither/);
  });

  it('refuses a consumer before its helper', async () => {
    const error = await failure(await withSeries(consumer, helper));
    expect(error.message).toBe(
      '0001-change-0.patch uses vb2_attach_fence, which only the later 0002-change-1.patch defines: their order is wrong',
    );
  });

  it('compares version and release with the plan', async () => {
    const at = fleet.preflight.package;
    const version = await failure({ ...fleet.preflight, package: { ...at, from: '7.0-5', to: '7.0-6' } });
    expect(version.message).toMatch(/has the version 7\.0-1; the plan starts from 7\.0-5$/);
    expect(version.seen).toMatchObject({ patches: [{ status: 'applied' }, { status: 'applied' }] });
    const release = await failure({ ...fleet.preflight, package: { ...at, release: '7.0.0-ohm' } });
    expect(release.message).toBe(
      "the kernel's release will be 7.0.0-fresnel, but the plan expects 7.0.0-ohm",
    );
  });
});
