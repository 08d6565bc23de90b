import { z } from 'zod';
import { Check } from './checks.ts';
import { sha256 } from './hash.ts';
import {
  BranchName,
  CellName,
  ClauseName,
  FileName,
  HostName,
  IterationName,
  ObjectId,
  PackageName,
  PackagePath,
  PackageVersion,
  PersonName,
  Release,
  RepositoryName,
  Sha256,
  SymbolName,
  TagName,
  TreePath,
} from './names.ts';
import type { Opened } from './open.ts';
import { StepName } from './step-names.ts';

/** A length of time as an operator writes it: `90s`, `15m`, `2h`. The parsed value is in seconds. */
export const Duration = z
  .string()
  .regex(/^\d{1,6}(s|m|h|d)$/, { error: 'must be a duration like "90s", "15m", "2h" or "7d"' });

const unitSeconds = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** Seconds in a {@link Duration}. */
export const durationSeconds = (duration: string): number =>
  Number(duration.slice(0, -1)) * unitSeconds[duration.slice(-1) as keyof typeof unitSeconds];

/** `libva = kernel-direct` or `libva != software`: a path of a row of the sweep, and what its hash is compared with. */
export const Expectation = z
  .string()
  .regex(/^[a-z][a-z0-9._-]{0,39} (=|!=) [A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/, {
    error: 'must compare a path, like "libva = kernel-direct" or "libva != software"',
  });

export const SweepRow = z.strictObject({
  name: CellName,
  /** The clip that this row decodes, by its name in the board's own fixtures folder. */
  fixture: FileName.optional(),
  expect: z.array(Expectation).min(1),
  /** Why a difference is expected. Every row that expects one has to say why. */
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
  /** How often each cell runs. A race that is only sometimes won is not a PASS. */
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

/** A note of the campaign, and what is done with its file. */
export const Note = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('write').default('write'), file: FileName, text: z.string().min(1) }),
]);

/** Where the work goes back to: in words, `phase 0, the working hypothesis is wrong`. */
export const GoBack = z.union([z.string().min(1)]);

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
    folder: z.string().min(1).optional(),
    /** The names under which they land, in their order. */
    patches: z.array(FileName).min(1).optional(),
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
    /** The version on the board, if that is not `from`: after an iteration that was rolled back. */
    installed: PackageVersion.optional(),
    /**
     * What the packages may bring beside a kernel that the packages before did not, with the reason. `/.INSTALL` is the
     * scriptlet.
     */
    allows: z
      .array(z.strictObject({ path: PackagePath, because: z.string().min(1).max(400) }))
      .max(100)
      .optional(),
    /** What `uname -r` prints with the new package, if the plan promises it. */
    release: Release.optional(),
  }),
  review: z.strictObject({
    approvals: z.array(PersonName),
    /** Whether the person who started the iteration may be its only approver. */
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
    notes: z.array(Note),
  }),
  /** Where the work goes back to when the verification fails. */
  goBack: GoBack,
});
/** As a person writes it. */
export type Plan = z.infer<typeof Plan>;
/** As it is read from a log. */
export type ReadPlan = Opened<Plan>;

/** The version that the board has before the iteration, and goes back to. */
export const installedBefore = ({ package: { installed, from } }: ReadPlan): string => installed ?? from;

/** A patch as it travels: the name that it lands under, and its exact bytes. Mail need not be UTF-8. */
export const Patch = z.object({ file: FileName, sha256: Sha256, base64: z.base64() });
export type Patch = z.infer<typeof Patch>;

/** A patch of these bytes. */
export const patchOf = (file: string, bytes: Uint8Array): Patch => ({
  file,
  sha256: sha256(bytes),
  base64: Buffer.from(bytes).toString('base64'),
});

/** A patch's bytes. */
export const patchBytes = ({ base64 }: Pick<Patch, 'base64'>): Buffer => Buffer.from(base64, 'base64');

/**
 * A patch's text, for people and for finding names in it. Bytes that are not UTF-8 are replaced: never write it to a
 * file.
 */
export const patchText = (patch: Pick<Patch, 'base64'>): string => patchBytes(patch).toString('utf8');

/**
 * The hash of a plan as it was checked, with everything that belongs to it: an approval approves this hash.
 * @param text the plan's own file. @param resolved the names in it that stand for something else.
 */
export const planHash = (
  text: string,
  series: readonly Pick<Patch, 'sha256'>[],
  resolved: Resolved = {},
): string =>
  sha256(
    [
      sha256(text),
      ...series.map((patch) => patch.sha256),
      ...Object.entries(resolved)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, { sha256: hash, from }]) => JSON.stringify([name, hash, from])),
    ].join('\n'),
  );

/** The names in a plan that stand for a hash: which hash, and where it is from. */
export const Resolved = z.record(z.string(), z.object({ sha256: Sha256, from: z.string() }));
export type Resolved = z.infer<typeof Resolved>;
