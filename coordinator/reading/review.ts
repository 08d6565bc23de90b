import pc from 'picocolors';
import { patchText } from '../../schemas/plan.ts';
import { printable, printableLines } from '../../schemas/printable.ts';
import type { ApprovedTree } from '../../schemas/reviewed.ts';
import { reviewOf, treesToApprove } from '../decider/graph.ts';
import { evidenceOf, type Iteration } from '../decider/state.ts';

/** Everything that an approver signs for. */
export interface Review {
  iteration: string;
  title: string;
  board: string;
  planSha256: string;
  trees: ApprovedTree[];
  /** Whose approval is missing. */
  missing: string[];
  series: { file: string; text: string }[];
  packaging: {
    folder: string;
    since: { iteration: string; commit: string } | null;
    diff: string;
    sizeBytes: number;
  };
  prepared: {
    release: string;
    files: number;
    excluded: string[];
    /** What differs in the kernel's sources from the baseline with the series. */
    beside: { folder: string; count: number; files: { status: string; path: string }[] } | null;
  };
}

/** What there is to review; undefined before preflight has succeeded. */
export const reviewFor = (iteration: Iteration): Review | undefined => {
  const seen = evidenceOf(iteration, 'preflight')?.evidence;
  const trees = treesToApprove(iteration);
  if (!seen || !trees) return undefined;
  const { plan, planSha256, series, since } = iteration;
  const { packaging, prepared, release } = seen;
  return {
    iteration: iteration.name,
    title: plan.title,
    board: plan.board,
    planSha256,
    trees,
    missing: reviewOf(iteration)?.missing ?? [],
    series: series.map((patch) => ({ file: patch.file, text: patchText(patch) })),
    packaging: {
      folder: plan.package.folder,
      since: packaging.since === null ? null : (since ?? null),
      diff: packaging.diff,
      sizeBytes: packaging.sizeBytes,
    },
    prepared: {
      release: release.predicted,
      files: prepared.files,
      excluded: prepared.excluded,
      beside: prepared.beside,
    },
  };
};

/** A patch with the colours that git gives it. */
const colouredPatch = (text: string): string =>
  printableLines(text.replaceAll('\t', '        '))
    .split('\n')
    .map((line) => {
      if (/^(diff |index |--- |\+\+\+ )/.test(line)) return pc.bold(line);
      if (line.startsWith('@@')) return pc.cyan(line);
      if (line.startsWith('+')) return pc.green(line);
      return line.startsWith('-') ? pc.red(line) : line;
    })
    .join('\n');

const besideLines = ({ prepared: { beside } }: Review): string[] => {
  if (!beside) return [pc.yellow('no folder in it has a Makefile: what of it is a kernel can’t be told')];
  const { folder, count, files } = beside;
  if (count === 0) return [`${folder} is the baseline with the series, and nothing else`];
  return [
    `${folder} differs from the baseline with the series in ${count} files (A added, M changed, D removed), by the package’s other patches and its prepare():`,
    ...files.map(({ status, path }) => `  ${status} ${printable(path)}`),
    ...(count > files.length ? [pc.yellow(`  and ${count - files.length} more, which are not named`)] : []),
  ];
};

/** A review as people read it. */
export const reviewText = (review: Review): string => {
  const { packaging, prepared, series } = review;
  const heading = (text: string) => `\n${pc.bold(printable(text))}\n`;
  const cut = packaging.sizeBytes - Buffer.byteLength(packaging.diff);
  return [
    pc.bold(printable(`${review.iteration}: ${review.title}`)),
    `board     ${review.board}`,
    `plan      ${review.planSha256}`,
    ...review.trees.map(({ purpose, tree }) => `${printable(purpose).padEnd(9)} ${tree}`),
    `waits for ${review.missing.join(', ') || 'nobody'}`,
    ...series.flatMap(({ file, text }) => [heading(`Patch ${file}`), colouredPatch(text)]),
    heading(
      packaging.since
        ? `${packaging.folder} since ${packaging.since.iteration} (${packaging.since.commit})`
        : `${packaging.folder}, all of it: no closed iteration is known to have landed it before`,
    ),
    colouredPatch(packaging.diff),
    ...(cut > 0 ? [pc.yellow(`… and ${cut} bytes more; look at the branch itself`)] : []),
    heading(`Prepared sources: ${prepared.files} files, release ${prepared.release}`),
    ...besideLines(review),
    `not part of them: ${prepared.excluded.join(' ')}`,
  ].join('\n');
};
