import type { Plan } from '../schemas/plan.ts';
import type { Cell, StepEvidence } from '../schemas/steps.ts';

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

/** Compares a sweep's table with what the plan expects of it, row by row. Absence is never a PASS. */
export const judgeSweep = (
  plan: Plan['sweep'],
  { table }: Pick<StepEvidence<'sweep'>, 'table'>,
): SweepJudged => {
  const rows = plan.rows.map(({ name, expect }): RowJudged => {
    const found = expect.map((expectation) => {
      const [left = '', relation, right = ''] = expectation.split(' ');
      const cells = [left, right].map((path) =>
        table.find((cell) => cell.row === name && cell.path === path),
      );
      const a = provenHash(plan, left, cells[0]);
      const b = provenHash(plan, right, cells[1]);
      const holds = a !== null && b !== null && (relation === '=' ? a === b : a !== b);
      return holds
        ? ''
        : `${expectation} does not hold: ${left} ${describe(cells[0], a)}, ${right} ${describe(cells[1], b)}`;
    });
    const faults = found.filter((fault) => fault !== '');
    return { row: name, passed: faults.length === 0, because: faults.join('; ') };
  });
  return { rows, passed: rows.filter((row) => row.passed).length, total: rows.length };
};
