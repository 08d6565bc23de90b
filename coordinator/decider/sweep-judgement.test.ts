import { describe, expect, it } from 'vitest';
import type { Cell } from '../../schemas/steps.ts';
import { comparisonWords } from '../reading/english/check-faults.ts';
import { sweptWith } from '../testing/example-evidence.ts';
import { examplePlan } from '../testing/example-plan.ts';
import { historyOf, started } from '../testing/history.ts';
import { comparisonFaults, judgeRows, judgeSweep, type RowVerdict } from './sweep-judgement.ts';

const because = (row: RowVerdict | undefined): string =>
  row ? comparisonFaults(row).map(comparisonWords).join('; ') : '';

const { plan } = examplePlan();
const iteration = historyOf(started()).iteration();
const good = sweptWith(iteration, '7.0-2').table;

const judge = (change: (cell: Cell) => Cell | undefined) =>
  judgeSweep(plan.sweep, { table: good.flatMap((cell) => change(cell) ?? []) });

const libvaOfH264 =
  (change: Partial<Cell>) =>
  (cell: Cell): Cell =>
    cell.row === 'h264' && cell.path === 'libva' ? { ...cell, ...change } : cell;

describe('a sweep', () => {
  it('passes if every comparison of the plan holds, an expected difference too', () => {
    expect(judge((cell) => cell)).toMatchObject({
      passed: 2,
      total: 2,
      rows: [
        { row: 'h264', verdict: 'PASS' },
        { row: 'mpeg2', verdict: 'PASS' },
      ],
    });
  });

  it('fails where two paths differ, and says which', () => {
    const { passed, rows } = judgeSweep(plan.sweep, sweptWith(iteration, '7.0-2', ['h264']));
    expect(passed).toBe(1);
    expect(because(rows[0])).toMatch(
      /^libva = kernel-direct does not hold: libva [0-9a-f]{8}, kernel-direct [0-9a-f]{8}; libva = software/,
    );
  });

  it('fails where a difference is expected and there is none', () => {
    const software = good.find(({ row, path }) => row === 'mpeg2' && path === 'kernel-direct')?.sha256 ?? '';
    const { rows } = judge((cell) =>
      cell.row === 'mpeg2' && cell.path === 'software'
        ? { ...cell, sha256: software, hashes: [software, software] }
        : cell,
    );
    expect(rows[1]?.verdict).toBe('FAIL');
    expect(because(rows[1])).toMatch(/^libva != software/);
  });

  it.each<[string, Partial<Cell>, RegExp]>([
    [
      'changed between repeats',
      { status: 'unstable', sha256: null, hashes: ['a', 'b'] },
      /2 hashes in 2 runs/,
    ],
    ['never used the device', { status: 'no-device', device: null }, /never used the device/],
    ['broke', { status: 'error', sha256: null, error: 'no output' }, /broke: no output/],
    ['has no hash', { sha256: null }, /no hash/],
    ['was repeated too seldom', { hashes: [good[0]?.sha256 ?? ''] }, /is not proven \(1 runs/],
    ['shows no sign of the device', { device: null }, /is not proven \(2 runs, no device/],
    ['gave another hash in a repeat', { hashes: ['0'.repeat(64), good[0]?.sha256 ?? ''] }, /is not proven/],
  ])('does not pass where a cell %s', (_name, change, says) => {
    const { rows } = judge(libvaOfH264(change));
    expect(rows[0]?.verdict).not.toBe('PASS');
    expect(because(rows[0])).toMatch(says);
    expect(rows[1]?.verdict).toBe('PASS');
  });

  it('never passes where a cell is missing, not even for a difference', () => {
    const { rows } = judge((cell) => (cell.path === 'software' ? undefined : cell));
    expect(rows.map(({ verdict }) => verdict)).toEqual(['MISS', 'MISS']);
    expect(because(rows[1])).toMatch(/software was not swept/);
  });

  it.each<[string, Partial<Cell> | undefined, string]>([
    ['another hash', { sha256: 'a', hashes: ['a', 'a'] }, 'FAIL'],
    ['another hash in each run', { status: 'unstable', sha256: null, hashes: ['a', 'b'] }, 'FAIL'],
    ['no use of the device', { status: 'no-device', device: null }, 'FAIL'],
    ['a run that broke', { status: 'error', sha256: null, error: 'no output' }, 'ERROR'],
    ['too few runs', { hashes: [good[0]?.sha256 ?? ''] }, 'MISS'],
    ['nothing', undefined, 'MISS'],
  ])('with %s for one path has a row of that verdict', (_name, change, verdict) => {
    const table = good.flatMap((cell) =>
      cell.row !== 'h264' || cell.path !== 'libva' ? [cell] : change ? [{ ...cell, ...change }] : [],
    );
    const [h264, mpeg2] = judgeRows(plan.sweep, { table });
    expect(h264?.verdict).toBe(verdict);
    expect(h264?.comparisons.map((one) => one.verdict)).toEqual([verdict, verdict]);
    // A path is judged alone: its hash is not compared with another's here.
    const alone = change && 'sha256' in change && change.sha256 === 'a' ? 'PASS' : verdict;
    expect(h264?.paths.map((one) => one.verdict)).toEqual([alone, 'PASS', 'PASS']);
    expect(mpeg2?.verdict).toBe('PASS');
  });

  it('is a FAIL where one comparison FAILs and another is a MISS', () => {
    const table = good
      .filter(({ row, path }) => row !== 'h264' || path !== 'software')
      .map((cell) =>
        cell.row === 'h264' && cell.path === 'libva' ? { ...cell, sha256: 'a', hashes: ['a', 'a'] } : cell,
      );
    const [h264] = judgeRows(plan.sweep, { table });
    expect(h264?.comparisons.map(({ verdict }) => verdict)).toEqual(['FAIL', 'MISS']);
    expect(h264?.verdict).toBe('FAIL');
  });
});
