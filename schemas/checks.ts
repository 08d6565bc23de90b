import { z } from 'zod';
import { FileName, PersonName, SymbolName, TreePath } from './names.ts';

/**
 * The checks that a clause can be bound to. Each looks at one step's evidence (or at the review), and none
 * passes without it. `coordinator/decider/checks/` answers them.
 */
export const Check = z.discriminatedUnion(
  'check',
  [
    z.strictObject({
      check: z.literal('patch-applies'),
      patch: FileName,
      /** All files that the patch touches. */
      touches: z.array(TreePath).min(1).optional(),
      /** Path → lines added, for every file that the patch may touch. */
      adds: z.record(TreePath, z.int().min(0)).optional(),
      /** Symbols that the patch must define. */
      defines: z.array(SymbolName).optional(),
      /** Symbols that the patch must use. */
      uses: z.array(SymbolName).optional(),
      author: z.string().min(1).optional(),
    }),
    z.strictObject({ check: z.literal('symbols-found') }),
    z.strictObject({ check: z.literal('release-predicted') }),
    z.strictObject({ check: z.literal('approved'), by: z.array(PersonName).min(1) }),
    z.strictObject({ check: z.literal('patches-landed') }),
    z.strictObject({ check: z.literal('patch-landed'), patch: FileName }),
    z.strictObject({ check: z.literal('manifest-includes') }),
    z.strictObject({ check: z.literal('package-bumped') }),
    z.strictObject({ check: z.literal('key-usable') }),
    z.strictObject({ check: z.literal('packages-built') }),
    z.strictObject({ check: z.literal('packages-signed') }),
    z.strictObject({ check: z.literal('mirrored') }),
    z.strictObject({ check: z.literal('backup-held') }),
    z.strictObject({ check: z.literal('staged') }),
    z.strictObject({ check: z.literal('package-installed') }),
    z.strictObject({ check: z.literal('kernel-running') }),
    z.strictObject({ check: z.literal('sweep-as-expected') }),
    z.strictObject({ check: z.literal('no-regression') }),
    z.strictObject({ check: z.literal('confirmed') }),
    z.strictObject({ check: z.literal('recorded'), file: FileName.optional() }),
  ],
  { error: (issue) => (issue.code === 'invalid_union' ? 'is no check that looks at evidence' : undefined) },
);
export type Check = z.infer<typeof Check>;
