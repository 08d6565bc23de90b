import { z } from 'zod';
import { Check } from './checks.ts';
import {
  BranchName,
  CellName,
  ClauseName,
  FileName,
  HostName,
  IterationName,
  ObjectId,
  PackageName,
  PackageVersion,
  PersonName,
  Release,
  RepositoryName,
  Sha256,
  SymbolName,
  TagName,
  TreePath,
} from './names.ts';
import { StepName } from './step-names.ts';

/** A length of time as an operator writes it: `90s`, `15m`, `2h`. The parsed value is in seconds. */
export const Duration = z
  .string()
  .regex(/^\d{1,6}(s|m|h|d)$/, { error: 'must be a duration like "90s", "15m", "2h" or "7d"' });

const unitSeconds = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** Seconds in a {@link Duration}. */
export const durationSeconds = (duration: string): number =>
  Number(duration.slice(0, -1)) * unitSeconds[duration.slice(-1) as keyof typeof unitSeconds];

/** `libva = kernel-direct` or `libva != software`: a comparison of two hashes of one row of the sweep. */
export const Expectation = z.string().regex(/^[a-z][a-z0-9._-]* (=|!=) [a-z][a-z0-9._-]*$/, {
  error: 'must compare two paths, like "libva = kernel-direct" or "libva != software"',
});

export const SweepRow = z.strictObject({
  name: CellName,
  /** The clip that this row decodes, by its name in the board's own fixtures folder. */
  fixture: FileName.optional(),
  expect: z.array(Expectation).min(1),
  /** Why a difference is expected. Every row that expects one has to say so. */
  because: z.string().min(1).optional(),
});

export const SweepPath = z.strictObject({
  name: CellName,
  /** Whether the run counts only with a sign that the device was really used. */
  device: z.boolean(),
});

export const SweepPlan = z.strictObject({
  paths: z.array(SweepPath).min(2),
  rows: z.array(SweepRow).min(1),
  /** How often each cell runs. A race that is sometimes won is no PASS. */
  repeats: z.int().min(1).max(100),
});

export const Risk = z.strictObject({
  id: z.string().regex(/^[a-z][a-z0-9-]*$/, { error: 'must be a short name like "builder-offline"' }),
  risk: z.string().min(1),
  probability: z.enum(['eliminated', 'low', 'low-medium', 'medium', 'high', 'known']),
  impact: z.enum(['none', 'low', 'medium', 'high']),
  /** What is done about it. */
  answer: z.string().min(1),
  /** The sign in the log that this risk came up. Without one, the report can't tell. */
  seen: z
    .enum([
      'conflict',
      'symbol-missing',
      'builder-replaced',
      'wrong-signature',
      'lan-copy',
      'sweep-failed',
      'step-timed-out',
      'initramfs-by-hand',
    ])
    .optional(),
});

/** The contract that an operator writes. Unknown keys are typing errors. */
export const Plan = z.strictObject({
  iteration: IterationName,
  title: z.string().min(1).max(120),
  board: HostName,
  hosts: z.strictObject({
    /** In order of preference: the first builds, the others are its fallbacks. */
    builders: z.array(HostName).min(1),
    publisher: HostName,
    /** Where the board's backup is kept. */
    backup: HostName,
  }),
  baseline: z.strictObject({ repository: RepositoryName, tag: TagName, commit: ObjectId }),
  series: z.strictObject({
    /** Where the patches land: `patches/<scope>/` of the manifest's repository. */
    scope: TreePath,
    /** The folder of the patch files, relative to the plan. */
    folder: z.string().min(1),
    patches: z.array(FileName).min(1),
  }),
  /** The symbols that somebody looked at. Preflight adds those that the series uses. */
  symbols: z.array(SymbolName),
  manifest: z.strictObject({ repository: RepositoryName, branch: BranchName, file: TreePath }),
  package: z.strictObject({
    repository: RepositoryName,
    branch: BranchName,
    /** The folder of the PKGBUILD in that repository. */
    folder: TreePath,
    base: PackageName,
    names: z.array(PackageName).min(1),
    /** The PKGBUILD's version, before and after. */
    from: PackageVersion,
    to: PackageVersion,
    /** What the board has, where that is not `from`: after an iteration that was rolled back. */
    installed: PackageVersion.optional(),
    /** What `uname -r` says with the new package. */
    release: Release,
  }),
  review: z.strictObject({
    approvals: z.array(PersonName),
    /** Whether who started the iteration may be its only approver. */
    authorMayApprove: z.boolean().optional(),
  }),
  sweep: SweepPlan,
  clauses: z
    .array(
      z.strictObject({
        id: ClauseName,
        says: z.string().min(1),
        /** The checks on evidence that prove the clause. All of them have to pass. */
        proof: z.array(Check).min(1, { error: 'a clause needs at least one check on evidence' }),
      }),
    )
    .min(1),
  risks: z.array(Risk),
  /** What the plan predicts, for the report. */
  expected: z.partialRecord(StepName, Duration),
  /** How long a step may stay open before it is given up. */
  limits: z.partialRecord(StepName, Duration).default({}),
  close: z.strictObject({
    repository: RepositoryName,
    branch: BranchName,
    /** The close document, written from the log. */
    document: FileName,
    scoreboard: z.strictObject({ file: FileName, before: z.string().min(1), after: z.string().min(1) }),
    notes: z.array(z.strictObject({ file: FileName, text: z.string().min(1) })),
  }),
  /** Where the work goes back to when the verification fails. */
  goBack: z.string().min(1),
});
export type Plan = z.infer<typeof Plan>;

/** The version that the board has before the iteration, and goes back to. */
export const installedBefore = ({ package: { installed, from } }: Plan): string => installed ?? from;

/** A patch as it travels: its exact bytes as text, with their sha256. */
export const Patch = z.object({ file: FileName, sha256: Sha256, text: z.string() });
export type Patch = z.infer<typeof Patch>;
