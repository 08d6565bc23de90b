import { z } from 'zod';
import { FellBack } from './boot.ts';

const fault = <Code extends string, Shape extends z.core.$ZodLooseShape>(code: Code, shape: Shape) =>
  z.object({ code: z.literal(code), ...shape });

/** What was found and what was expected; null if there was none. */
const differs = { found: z.string().nullable(), expected: z.string().nullable() };

export const Verdict = z.enum(['PASS', 'FAIL', 'ERROR', 'MISS', 'SKIP', 'WAIVED']);
export type Verdict = z.infer<typeof Verdict>;

/** What a cell of the sweep proves: its hash, or why it proves none. */
const CellSeen = z.object({
  path: z.string(),
  status: z.enum(['proven', 'unproven', 'unstable', 'no-device', 'error', 'not-swept', 'unknown']),
  sha256: z.string().nullable(),
  runs: z.int(),
  hashes: z.int(),
  device: z.string().nullable(),
  error: z.string().optional(),
});
export type CellSeen = z.infer<typeof CellSeen>;

/** A comparison in the plan that a row does not meet, with the cells on its two sides. */
export const ComparisonFault = z.object({
  expectation: z.string(),
  verdict: Verdict,
  /** A side is null if no path of the sweep has its name. */
  left: CellSeen.nullable(),
  right: CellSeen.nullable(),
});
export type ComparisonFault = z.infer<typeof ComparisonFault>;

/**
 * Why a check does not pass: a code with its facts. `reading/english/` turns it into a sentence for readers; no
 * decision depends on that sentence.
 */
export const CheckFault = z.discriminatedUnion('code', [
  /** There is no evidence yet for the check to look at. */
  fault('no-evidence', { step: z.string() }),
  /** The check is from a newer version, and this version can't judge it. */
  fault('check-unknown', { check: z.string() }),

  fault('patch-not-tried', { patch: z.string() }),
  fault('patch-conflicts', { patch: z.string() }),
  fault('patch-already-there', { patch: z.string() }),
  fault('author-differs', { patch: z.string(), ...differs }),
  fault('lines-differ', {
    patch: z.string(),
    path: z.string(),
    found: z.int().nullable(),
    expected: z.int(),
  }),
  fault('path-not-touched', { patch: z.string(), path: z.string() }),
  fault('path-also-touched', { patch: z.string(), path: z.string() }),
  fault('symbol-not-defined', { patch: z.string(), symbol: z.string() }),
  fault('symbol-not-used', { patch: z.string(), symbol: z.string() }),
  fault('symbol-not-found', { symbol: z.string(), status: z.string() }),
  /** The release of the kernel that will be built, or of the one that runs. */
  fault('release-differs', { of: z.enum(['prediction', 'running']), ...differs }),

  fault('patch-not-landed', { path: z.string(), isThere: z.boolean() }),
  fault('not-included', { manifest: z.string(), entry: z.string() }),
  fault('include-lost', { manifest: z.string(), entry: z.string() }),
  fault('nothing-committed', { repository: z.string() }),
  fault('bump-differs', { end: z.enum(['from', 'to']), ...differs }),

  fault('key-differs', { host: z.string(), ...differs }),
  fault('package-missing', { package: z.string(), from: z.enum(['build', 'backup', 'install']) }),
  /** The file's bytes differ from those of the step that made it. */
  fault('package-differs', { file: z.string(), from: z.enum(['build', 'publish']) }),
  fault('version-differs', {
    of: z.enum(['buildinfo', 'backup', 'install', 'package', 'reboot', 'sweep', 'confirm']),
    package: z.string().optional(),
    ...differs,
  }),
  fault('commit-not-landed', { commit: z.string() }),
  fault('not-attested', { host: z.string(), what: z.enum(['build', 'sweep']) }),
  fault('attestation-differs', differs),
  fault('no-mirror', {}),
  fault('mirror-database-differs', { url: z.string() }),
  fault('mirror-lacks-packages', { url: z.string(), found: z.int(), expected: z.int() }),
  fault('place-differs', differs),
  fault('no-file-checked', { package: z.string() }),
  /** `files` holds the first of them, `count` is the number of all. */
  fault('files-altered', { package: z.string(), files: z.array(z.string()), count: z.int() }),

  fault('kernel-fell-back', { procVersion: z.string(), fellBack: FellBack.nullable() }),
  fault('rebooted-twice', {}),
  fault('outcome-unknown', { outcome: z.string() }),
  fault('same-boot', { bootId: z.string() }),
  fault('banner-differs', differs),

  fault('row-not-as-expected', {
    row: z.string(),
    verdict: Verdict,
    comparisons: z.array(ComparisonFault),
  }),
  fault('row-regressed', { row: z.string() }),
  fault('file-not-committed', { file: z.string() }),
]);
export type CheckFault = z.infer<typeof CheckFault>;
