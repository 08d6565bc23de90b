import type { Plan } from '../../schemas/plan.ts';
import type { Cell, StepEvidence } from '../../schemas/steps.ts';

interface RowJudged {
  row: string;
  passed: boolean;
  /** What was found, for every row that did not pass. */
  because: string;
}

export interface SweepJudged {
  rows: RowJudged[];
  passed: number;
  total: number;
}

/** The hash that a cell vouches for: every repeat that the plan asks for gave it, and on the device if it has to. */
const provenHash = (
  { paths, repeats }: Plan['sweep'],
  path: string,
  cell: Cell | undefined,
): string | null => {
  if (cell?.status !== 'ok' || cell.hashes.length < repeats) return null;
  if (cell.hashes.some((hash) => hash !== cell.sha256)) return null;
  const needsDevice = paths.find(({ name }) => name === path)?.device ?? true;
  return needsDevice && cell.device === null ? null : cell.sha256;
};

const describe = (cell: Cell | undefined, proven: string | null): string => {
  if (!cell) return 'was not swept';
  if (proven !== null) return proven.slice(0, 8);
  switch (cell.status) {
    case 'ok':
      return `is not proven (${cell.hashes.length} runs, ${cell.device ?? 'no device'}, ${cell.sha256?.slice(0, 8) ?? 'no hash'})`;
    case 'unstable':
      return `changed between repeats (${new Set(cell.hashes).size} hashes in ${cell.hashes.length} runs)`;
    case 'no-device':
      return 'never used the device';
    case 'error':
      return `broke: ${cell.error ?? 'no reason given'}`;
  }
};

/** Gravest first, as KCIDB orders them: what tests amount to together is the gravest of theirs. */
const graveness = ['FAIL', 'ERROR', 'MISS', 'PASS'] as const;
export type SweepVerdict = (typeof graveness)[number];

/** Of nothing there is no evidence. */
export const gravest = (verdicts: readonly SweepVerdict[]): SweepVerdict =>
  graveness.find((verdict) => verdicts.includes(verdict)) ?? 'MISS';

/** `because` says what was found where the verdict is not PASS, and is empty where it is. */
interface Judged {
  verdict: SweepVerdict;
  because: string;
}

export interface RowVerdict extends Judged {
  row: string;
  /** The paths that the row's expectations name, whatever their bytes were compared with. */
  paths: (Judged & { path: string; cell: Cell | undefined })[];
  comparisons: (Judged & { expectation: string })[];
}

/** What a cell alone says: PASS if it vouches for a hash, ERROR if its run broke, MISS if there is no evidence. */
const verdictOfCell = (cell: Cell | undefined, proven: string | null): SweepVerdict => {
  if (!cell) return 'MISS';
  if (proven !== null) return 'PASS';
  switch (cell.status) {
    case 'ok':
      return 'MISS';
    case 'unstable':
    case 'no-device':
      return 'FAIL';
    case 'error':
      return 'ERROR';
  }
};

/**
 * Compares a sweep's table with what the plan expects of it: each row with its paths and comparisons. A comparison
 * of hashes that both are proven holds or FAILs; otherwise it is what its paths are. Absence is never a PASS.
 */
export const judgeRows = (
  plan: Plan['sweep'],
  { table }: Pick<StepEvidence<'sweep'>, 'table'>,
): RowVerdict[] =>
  plan.rows.map(({ name, expect }) => {
    const found = (path: string) => {
      const cell = table.find((one) => one.row === name && one.path === path);
      const hash = provenHash(plan, path, cell);
      return { path, cell, hash, verdict: verdictOfCell(cell, hash), says: describe(cell, hash) };
    };
    const named = new Set<string>();
    const comparisons = expect.map((expectation) => {
      const [left = '', relation, right = ''] = expectation.split(' ');
      const [a, b] = [found(left), found(right)];
      named.add(left).add(right);
      const proven = a.hash !== null && b.hash !== null;
      const holds = proven && (relation === '=' ? a.hash === b.hash : a.hash !== b.hash);
      if (holds) return { expectation, verdict: 'PASS' as const, because: '' };
      return {
        expectation,
        verdict: proven ? ('FAIL' as const) : gravest([a.verdict, b.verdict]),
        because: `${expectation} does not hold: ${left} ${a.says}, ${right} ${b.says}`,
      };
    });
    const faults = comparisons.filter(({ verdict }) => verdict !== 'PASS');
    return {
      row: name,
      verdict: gravest(comparisons.map(({ verdict }) => verdict)),
      because: faults.map(({ because }) => because).join('; '),
      paths: [...named].map(found).map(({ path, cell, verdict, says }) => ({
        path,
        cell,
        verdict,
        because: verdict === 'PASS' ? '' : `${path} ${says}`,
      })),
      comparisons,
    };
  });

/** How many rows of a sweep are as the plan expects. */
export const judgeSweep = (plan: Plan['sweep'], swept: Pick<StepEvidence<'sweep'>, 'table'>): SweepJudged => {
  const rows = judgeRows(plan, swept).map(({ row, verdict, because }) => ({
    row,
    passed: verdict === 'PASS',
    because,
  }));
  return { rows, passed: rows.filter((row) => row.passed).length, total: rows.length };
};
