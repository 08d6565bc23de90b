import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type LoadedPlan, loadPlan } from '../../coordinator/plan/plan-file.ts';
import { placePlans } from './example-linux.ts';

let folder: string;
let plans: LoadedPlan[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ka-linux-'));
  const files = await placePlans(folder, { PKGVER: '6.1.999', COMMIT: 'a'.repeat(40) });
  plans = files.map((file) => loadPlan(file));
});
afterAll(() => rmSync(folder, { recursive: true }));

it('both plans are without a fault, and the second begins where the first ends', () => {
  expect(plans.map(({ plan: { iteration, package: of } }) => [iteration, of.from, of.to])).toEqual([
    ['linux1', '6.1.999-1', '6.1.999-2'],
    ['linux2', '6.1.999-2', '6.1.999-3'],
  ]);
  const [first, second] = plans.map(({ plan }) => plan.close.scoreboard);
  expect(second?.before).toBe(first?.after);
});

it('the second series is the first with another patch of rkvdec', () => {
  const [first = [], second = []] = plans.map(({ series }) => series);
  expect(second.map(({ file }) => file)).toEqual(first.map(({ file }) => file));
  const changed = second.filter(({ sha256 }) => !first.some((patch) => patch.sha256 === sha256));
  expect(changed.map(({ file }) => file.slice(0, 4))).toEqual(['0004']);
});

it('the clauses are C1 to C12, and the symbol that the hand-made table had missed is not listed', () => {
  for (const { plan } of plans) {
    expect(plan.clauses.map(({ id }) => id)).toEqual(Array.from({ length: 12 }, (_, at) => `C${at + 1}`));
    expect(plan.symbols).toHaveLength(10);
    expect(plan.symbols).not.toContain('dma_resv_reserve_fences');
  }
});
