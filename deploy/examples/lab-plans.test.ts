import { hash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type LoadedPlan, loadPlan } from '../../coordinator/plan/plan-file.ts';
import { patchText } from '../../schemas/plan.ts';
import { checkout } from '../checkout.ts';
import { type NextIteration, nextIterations, placeLabPlan, placeNextPlan } from './lab-plans.ts';

const examples = join(checkout, 'examples');
const baseline = { version: '6.1.999', commit: 'a'.repeat(40) };
let folder: string;
let lab5: LoadedPlan;
let next: [NextIteration, LoadedPlan][];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ka-lab-plans-'));
  lab5 = loadPlan(await placeLabPlan(join(folder, 'lab5'), baseline));
  next = [];
  for (const what of nextIterations) {
    const pkgrels = { from: 4, to: 5, installed: 2 };
    const named = { iteration: `next-${what}`, baseline, pkgrels };
    next.push([what, loadPlan(await placeNextPlan(join(folder, what), what, named))]);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

const texts = (value: unknown) => JSON.stringify(value);

it('all plans are filled and without a fault, and their packages have the given pkgrels', () => {
  expect(lab5.plan.package).toMatchObject({ from: '6.1.999-1', to: '6.1.999-2' });
  expect(lab5.plan.clauses.map(({ id }) => id)).toEqual(Array.from({ length: 12 }, (_, at) => `C${at + 1}`));
  for (const [what, { plan }] of next) {
    expect(plan.iteration).toBe(`next-${what}`);
    expect(plan.package).toMatchObject({ from: '6.1.999-4', to: '6.1.999-5', installed: '6.1.999-2' });
    expect(plan.close.scoreboard.before).toBe(lab5.plan.close.scoreboard.after);
  }
  for (const { plan } of [lab5, ...next.map(([, loaded]) => loaded)])
    expect(texts(plan)).not.toMatch(/@[A-Z]+@/);
});

it('the series holds all patches, and each bad kernel has one of its own', () => {
  const files = lab5.series.map(({ file }) => file);
  expect(files).toEqual(readdirSync(join(examples, 'linux/patches')).sort());
  const changed = next.map(([what, { series }]) => {
    expect(series.map(({ file }) => file)).toEqual(files);
    const others = series.filter(({ sha256 }) => !lab5.series.some((patch) => patch.sha256 === sha256));
    return [what, others.map(({ file }) => file.slice(0, 4))];
  });
  expect(Object.fromEntries(changed)).toEqual({
    again: [],
    panic: ['0001'],
    hang: ['0001'],
    'no-network': ['0005'],
    'wrong-hypothesis': ['0001'],
  });
});

it('a bad kernel differs from the series in one file: no header changes', () => {
  const header = (series: LoadedPlan['series']) =>
    patchText(series[0] ?? { base64: '' })
      .split('diff --git a/include/')
      .at(1);
  expect(header(lab5.series)).toContain('vb2_buffer_attach_release_fence');
  for (const [, { series }] of next) expect(header(series)).toBe(header(lab5.series));
});

it('exported buffers are expected to keep failing, except in the wrong hypothesis', () => {
  const differs = ({ plan }: LoadedPlan) =>
    plan.sweep.rows.filter(({ expect }) => expect.includes('libva != kernel-direct')).map(({ name }) => name);
  expect(differs(lab5)).toEqual(['exported']);
  for (const [what, loaded] of next)
    expect(differs(loaded)).toEqual(what === 'wrong-hypothesis' ? [] : ['exported']);
});

it('every scoreboard begins with the campaign’s content, or with that after lab5', () => {
  const scoreboard = readFileSync(join(examples, 'lab/campaign/scoreboard.md'), 'utf8');
  expect(scoreboard).toContain(lab5.plan.close.scoreboard.before);
  for (const { file } of lab5.plan.close.notes)
    expect(readdirSync(join(examples, 'lab/campaign'))).toContain(file);
});

it('the PKGBUILD pins the present fragment and board patch', () => {
  const package_ = join(examples, 'linux/package/arch/linux-fresnel-fourier');
  const pkgbuild = readFileSync(join(package_, 'PKGBUILD.in'), 'utf8');
  const sums = /sha256sums=\(([^)]*)\)/.exec(pkgbuild)?.[1]?.match(/[0-9a-f]{64}/g);
  const pinned = readdirSync(package_).filter((file) => file !== 'PKGBUILD.in');
  const sumOf = (file: string) => hash('sha256', readFileSync(join(package_, file)), 'hex');
  expect(sums?.toSorted()).toEqual(pinned.map(sumOf).toSorted());
});
