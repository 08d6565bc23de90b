import { type CheckRule, type Faults, missing, ofEvidence } from './check-rule.ts';

export const patchApplies: CheckRule<'patch-applies'> = ofEvidence(
  'preflight',
  ({ patches }, { check }): Faults => {
    const { patch, author, adds: expectedLines, touches, defines = [], uses = [] } = check;
    const tried = patches.find(({ file }) => file === patch);
    if (!tried) return [{ code: 'patch-not-tried', patch }];
    const added = new Map(tried.files.map((file) => [file.path, file.added]));
    const paths = [...added.keys()];
    return [
      tried.status === 'conflict' && { code: 'patch-conflicts', patch },
      tried.status === 'already-there' && { code: 'patch-already-there', patch },
      author !== undefined &&
        tried.author !== author && { code: 'author-differs', patch, found: tried.author, expected: author },
      ...Object.entries(expectedLines ?? {}).map(([path, expected]): Faults[number] => {
        const found = added.get(path) ?? null;
        return found !== expected && { code: 'lines-differ', patch, path, found, expected };
      }),
      ...missing(touches ?? [], paths).map((path) => ({ code: 'path-not-touched', patch, path }) as const),
      ...[touches, expectedLines && Object.keys(expectedLines)].flatMap((meant) =>
        meant
          ? missing(paths, meant).map((path) => ({ code: 'path-also-touched', patch, path }) as const)
          : [],
      ),
      ...missing(defines, tried.defines).map(
        (symbol) => ({ code: 'symbol-not-defined', patch, symbol }) as const,
      ),
      ...missing(uses, tried.uses).map((symbol) => ({ code: 'symbol-not-used', patch, symbol }) as const),
    ];
  },
);

export const symbolsFound: CheckRule<'symbols-found'> = ofEvidence('preflight', ({ symbols }) =>
  symbols.map(
    ({ symbol, status }) =>
      status !== 'found' && status !== 'from-series' && { code: 'symbol-not-found', symbol, status },
  ),
);

export const releasePredicted: CheckRule<'release-predicted'> = ofEvidence(
  'preflight',
  ({ release }, { iteration }) => {
    const expected = iteration.plan.package.release;
    const found = release.predicted;
    return [
      expected !== undefined &&
        found !== expected && { code: 'release-differs', of: 'prediction', found, expected },
    ];
  },
);
