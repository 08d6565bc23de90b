import type { Iteration } from '../state.ts';
import { type CheckRule, missing, ofEvidence } from './check-rule.ts';

/** @param isSweepAsExpected decides whether the scoreboard has to be committed: only such a sweep changes it. */
export const recorded = (isSweepAsExpected: (iteration: Iteration) => boolean): CheckRule<'recorded'> =>
  ofEvidence('record', ({ commit }, { check, iteration }) => {
    const { document, notes, scoreboard } = iteration.plan.close;
    const wanted = check.file
      ? [check.file]
      : [
          document,
          ...notes.flatMap((note) => (note.kind === 'write' ? [note.file] : [])),
          ...(isSweepAsExpected(iteration) ? [scoreboard.file] : []),
        ];
    const found = commit.files.map(({ path }) => path);
    return missing(wanted, found).map((file) => ({ code: 'file-not-committed', file }) as const);
  });
