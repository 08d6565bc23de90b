import type { CellSeen, ComparisonFault, Verdict } from '../../schemas/check-faults.ts';
import type { Opened } from '../../schemas/open.ts';
import type { ReadPlan } from '../../schemas/plan.ts';
import type { Cell, StepEvidence } from '../../schemas/steps.ts';

type SweepPlan = ReadPlan['sweep'];
type ReadCell = Opened<Cell>;

/** Gravest first, as KCIDB orders them. The verdict of several tests together is their gravest. */
const graveness = ['FAIL', 'ERROR', 'MISS', 'SKIP', 'PASS'] as const satisfies readonly Verdict[];
/** A verdict of evidence alone, before any person's waiver. */
export type EvidenceVerdict = (typeof graveness)[number];

/** The gravest of these verdicts; an empty list is a MISS. */
export const gravest = (verdicts: readonly EvidenceVerdict[]): EvidenceVerdict =>
  graveness.find((verdict) => verdicts.includes(verdict)) ?? 'MISS';

/** The hash that a cell proves: every repeat that the plan asks for produced it, on the device if the path needs it. */
const provenHash = ({ paths, repeats }: SweepPlan, path: string, cell: ReadCell | undefined) => {
  if (cell?.status !== 'ok' || cell.hashes.length < repeats) return null;
  if (cell.hashes.some((hash) => hash !== cell.sha256)) return null;
  const needsDevice = paths.find(({ name }) => name === path)?.device ?? true;
  return needsDevice && cell.device === null ? null : cell.sha256;
};

const statusOf = (cell: ReadCell | undefined, proven: string | null): CellSeen['status'] => {
  if (!cell) return 'not-swept';
  if (proven !== null) return 'proven';
  switch (cell.status) {
    case 'ok':
      return 'unproven';
    case 'unstable':
    case 'no-device':
    case 'error':
      return cell.status as CellSeen['status'];
  }
  return 'unknown';
};

const cellSeen = (path: string, cell: ReadCell | undefined, proven: string | null): CellSeen => ({
  path,
  status: statusOf(cell, proven),
  sha256: cell?.sha256 ?? null,
  runs: cell?.hashes.length ?? 0,
  hashes: new Set(cell?.hashes).size,
  device: cell?.device ?? null,
  ...(cell?.error === undefined ? {} : { error: cell.error.slice(0, 500) }),
});

/** The verdict of a cell alone: PASS if it proves a hash, ERROR if its run broke, MISS if there is no evidence. */
const verdictOfCell: Record<CellSeen['status'], EvidenceVerdict> = {
  proven: 'PASS',
  unproven: 'MISS',
  'not-swept': 'MISS',
  unknown: 'MISS',
  unstable: 'FAIL',
  'no-device': 'FAIL',
  error: 'ERROR',
};

export interface PathVerdict {
  path: string;
  verdict: EvidenceVerdict;
  seen: CellSeen;
  cell: ReadCell | undefined;
}

export interface ComparisonVerdict {
  expectation: string;
  verdict: EvidenceVerdict;
  /** The cells on the comparison's two sides; null for a side that is no path of the sweep and so can't be judged. */
  left: CellSeen | null;
  right: CellSeen | null;
}

export interface RowVerdict {
  row: string;
  verdict: EvidenceVerdict;
  /** The paths that the row's expectations name, each judged alone. */
  paths: PathVerdict[];
  comparisons: ComparisonVerdict[];
}

/**
 * Compares a sweep's table with what the plan expects of it: each row with its paths and comparisons. A comparison of
 * two proven hashes is PASS or FAIL; any other has the gravest verdict of its paths. Absence is never a PASS.
 */
export const judgeRows = (plan: SweepPlan, { table }: Pick<StepEvidence<'sweep'>, 'table'>): RowVerdict[] =>
  plan.rows.map(({ name, expect }) => {
    const found = (path: string): (PathVerdict & { hash: string | null }) | undefined => {
      if (!plan.paths.some((one) => one.name === path)) return undefined;
      const cell = table.find((one) => one.row === name && one.path === path);
      const hash = provenHash(plan, path, cell);
      const seen = cellSeen(path, cell, hash);
      return { path, cell, hash, seen, verdict: verdictOfCell[seen.status] };
    };
    const named = new Map<string, PathVerdict>();
    const comparisons = expect.map((expectation): ComparisonVerdict => {
      const [left = '', relation, right = ''] = expectation.split(' ');
      const [a, b] = [found(left), found(right)];
      for (const one of [a, b]) if (one) named.set(one.path, one);
      const sides = { expectation, left: a?.seen ?? null, right: b?.seen ?? null };
      if (!a || !b) return { ...sides, verdict: 'MISS' };
      if (a.hash === null || b.hash === null) return { ...sides, verdict: gravest([a.verdict, b.verdict]) };
      const holds = relation === '=' ? a.hash === b.hash : a.hash !== b.hash;
      return { ...sides, verdict: holds ? 'PASS' : 'FAIL' };
    });
    return {
      row: name,
      verdict: gravest(comparisons.map(({ verdict }) => verdict)),
      paths: [...named.values()].map(({ path, cell, verdict, seen }) => ({ path, cell, verdict, seen })),
      comparisons,
    };
  });

/** The comparisons of a row that do not hold. */
export const comparisonFaults = ({ comparisons }: Pick<RowVerdict, 'comparisons'>): ComparisonFault[] =>
  comparisons.filter(({ verdict }) => verdict !== 'PASS');

export interface SweepJudged {
  rows: RowVerdict[];
  passed: number;
  total: number;
}

/** How many rows of a sweep are as the plan expects. */
export const judgeSweep = (plan: SweepPlan, swept: Pick<StepEvidence<'sweep'>, 'table'>): SweepJudged => {
  const rows = judgeRows(plan, swept);
  return { rows, passed: rows.filter(({ verdict }) => verdict === 'PASS').length, total: rows.length };
};
