import { z } from 'zod';
import { DsseEnvelope, InTotoEnvelope, Provenance } from './attestation.ts';
import { Boot, FellBack } from './boot.ts';
import {
  BranchName,
  CellName,
  FileName,
  Fingerprint,
  HostName,
  ObjectId,
  PackageName,
  PackageVersion,
  Release,
  RepositoryName,
  Sha256,
  SymbolName,
  TagName,
  TreePath,
} from './names.ts';
import type { Opened } from './open.ts';
import { Patch, Plan } from './plan.ts';
import { EndReason } from './reasons.ts';
import { Rendered } from './rendered.ts';
import { Approved } from './reviewed.ts';
import { Shallow } from './shallow.ts';
import type { Role, StepName } from './step-names.ts';

const Seconds = z.number().min(0);
const SizeBytes = z.int().min(0);

const Series = z.object({ scope: TreePath, patches: z.array(Patch).min(1) });
const Baseline = z.object(Plan.shape.baseline.shape);
const ManifestAt = z.object(Plan.shape.manifest.shape);
const PackageAt = z.object(Plan.shape.package.shape).omit({ installed: true, allows: true });

/** A line of `.SRCINFO` that the bump removed or added: `section` is the pkgbase or a pkgname. */
const SrcinfoChange = z.object({
  section: z.string(),
  key: z.string(),
  before: z.array(z.string()),
  after: z.array(z.string()),
});
export type SrcinfoChange = z.infer<typeof SrcinfoChange>;

/** A built package file: what it holds and exactly which bytes it is. */
const PackageFile = z.object({ name: PackageName, file: FileName, sizeBytes: SizeBytes, sha256: Sha256 });
export type PackageFile = z.infer<typeof PackageFile>;
const SignedPackageFile = PackageFile.extend({ signatureSha256: Sha256 });

/** A file on the board, by its absolute path there. */
const BoardFile = z.object({ path: z.string(), sizeBytes: SizeBytes, sha256: Sha256 });
export type BoardFile = z.infer<typeof BoardFile>;

/** An installed package, with every file compared with its entry in pacman's database. */
const InstalledPackage = z.object({
  name: PackageName,
  version: PackageVersion,
  filesChecked: z.int().min(0),
  filesAltered: z.array(z.string()),
});

const Installed = z.object({
  version: PackageVersion,
  packages: z.array(InstalledPackage).min(1),
  image: BoardFile,
  initramfs: BoardFile,
  /** sha256 of the payload of the build's attestation, which the board has checked. */
  attestation: Sha256.optional(),
});

const Rebooted = z.object({
  before: Boot,
  after: Boot,
  /** The banner in the installed image, to compare with `/proc/version`. */
  imageBanner: z.string(),
  package: PackageVersion,
  outcome: z.enum(['new-kernel', 'fell-back', 'rebooted-twice']),
  /** Absent if the installed kernel came back, and on boards that do not look. */
  fellBack: FellBack.optional(),
  /** From the reboot command to the agent's return, by the board's own clock. */
  secondsDown: Seconds,
  /** sha256 of the attestation of the build that runs now; absent if another kernel came back. */
  attestation: Sha256.optional(),
});

const BackupHeld = z.object({
  host: HostName,
  /** The folder on the backup host: `<board>/<version>`. */
  place: TreePath,
  archive: z.object({ file: FileName, sizeBytes: SizeBytes, sha256: Sha256 }),
  version: PackageVersion,
  release: Release,
  files: z.array(BoardFile).min(1),
  packages: z.array(PackageFile).min(1),
  /** The board's statement that it has made this backup. It goes back to no other. */
  attestation: InTotoEnvelope.optional(),
});

const SweepRequest = z.object({
  version: PackageVersion,
  paths: z.array(z.object({ name: CellName, device: z.boolean() })).min(2),
  rows: z
    .array(
      z.object({
        name: CellName,
        fixture: FileName.optional(),
        /** The paths that this row runs on, if not all of them. */
        paths: z.array(CellName).min(1).optional(),
      }),
    )
    .min(1),
  repeats: z.int().min(1),
  /** The packages that are swept, as they were staged. The board's attestation is about them. */
  packages: z.array(PackageFile).min(1).optional(),
});

/** One codec on one path: `sha256` only if every repeat gave the same bytes. */
const Cell = z.object({
  row: CellName,
  path: CellName,
  status: z.enum(['ok', 'unstable', 'error', 'no-device']),
  sha256: Sha256.nullable(),
  hashes: z.array(Sha256),
  device: z.string().nullable(),
  frames: z.int().min(0).nullable(),
  error: z.string().optional(),
});
export type Cell = Opened<z.infer<typeof Cell>>;

const Swept = z.object({
  release: Release,
  procVersion: z.string(),
  version: PackageVersion,
  fixtures: z.array(z.object({ file: FileName, sha256: Sha256 })),
  table: z.array(Cell).min(1),
  /** in-toto test result, by the board. Absent if no packages were named. */
  attestation: DsseEnvelope.optional(),
});

/** A build that was finished in the builder's worktree of the package. */
const BuildBefore = z.object({ commit: ObjectId, seconds: Seconds, compiled: z.int().min(0).optional() });
export type BuildBefore = z.infer<typeof BuildBefore>;

const SymbolFound = z.object({
  symbol: SymbolName,
  /** Listed in the plan. */
  listed: z.boolean(),
  /** The patches of the series that use it. */
  usedBy: z.array(FileName),
  /** Lines of the baseline that name it. */
  hits: z.int().min(0),
  /** `path:line` of a definition or declaration in the baseline, or the patch that adds it. */
  definedIn: z.string().nullable(),
  exported: z.boolean(),
  status: z.enum(['found', 'from-series', 'defined-later', 'missing']),
});
export type SymbolFound = z.infer<typeof SymbolFound>;

const PatchChecked = z.object({
  file: FileName,
  sha256: Sha256,
  author: z.string(),
  subject: z.string(),
  status: z.enum(['applied', 'already-there', 'conflict']),
  /** Any path that a git tree may hold, `.mailmap` too. */
  files: z.array(z.object({ path: z.string(), added: z.int(), removed: z.int() })),
  defines: z.array(SymbolName),
  uses: z.array(SymbolName),
  /** `hunk` is the hunk's own `@@ … @@` line. */
  conflicts: z.array(z.object({ path: z.string(), hunk: z.string() })),
});
export type PatchChecked = z.infer<typeof PatchChecked>;

const Commit = z.object({
  repository: RepositoryName,
  branch: BranchName,
  parent: ObjectId,
  commit: ObjectId,
  files: z.array(z.object({ path: TreePath, sha256: Sha256 })).min(1),
});
export type Commit = z.infer<typeof Commit>;

/**
 * What the coordinator asks of a host, and what the host answers with, for each step. Requests hold facts,
 * never commands: what runs on a host is in that host's config. Evidence is what was seen, never an adjective.
 */
export const steps = {
  preflight: {
    role: 'builder',
    request: z.object({
      baseline: Baseline,
      series: Series,
      symbols: z.array(SymbolName),
      manifest: ManifestAt,
      package: PackageAt,
      /** The commit of the package's repository that the last closed iteration landed. */
      since: ObjectId.optional(),
    }),
    evidence: z.object({
      baseline: z.object({ tag: TagName, commit: ObjectId }),
      /** The tree of the baseline with the series applied. */
      tree: ObjectId,
      /** The tree of the package's folder that lands: bumped, and with the patches. */
      packagingTree: ObjectId,
      /**
       * What differs in that folder from `since`, or all of it where that is null: as git's
       * patch. One that is longer than the evidence holds is cut; `sizeBytes` is its whole length.
       */
      packaging: z.object({
        since: ObjectId.nullable(),
        diff: z.string(),
        sizeBytes: SizeBytes,
      }),
      /** What `prepare()` makes of that folder's sources: what is built. */
      prepared: z.object({
        /** Every file below `$srcdir`, but what `excluded` names. */
        tree: ObjectId,
        /** The `.config`s alone, at their paths. */
        config: ObjectId,
        /** SOURCE_DATE_EPOCH of prepare() and of the build. */
        epochSeconds: z.int().min(0),
        excluded: z.array(z.string()),
        files: z.int().min(0),
        /**
         * Where the kernel is in it, and what differs there from the baseline with the series: `status` as git's, A, D, M
         * or T. Null if there is no kernel in it.
         */
        beside: z
          .object({
            folder: z.string(),
            count: z.int().min(0),
            files: z.array(z.object({ status: z.string(), path: z.string() })),
          })
          .nullable(),
      }),
      /** KernelCI's identity of a patch stack: the sha256 of the patches' sha256s. */
      patchset: Sha256,
      patches: z.array(PatchChecked).min(1),
      symbols: z.array(SymbolFound),
      bump: z.object({ from: PackageVersion, to: PackageVersion, changes: z.array(SrcinfoChange) }),
      release: z.object({ predicted: z.string(), namesPkgrel: z.boolean() }),
      expectedFiles: z.array(FileName).min(1),
    }),
  },
  land: {
    role: 'builder',
    request: z.object({
      title: z.string(),
      series: Series,
      patchset: Sha256,
      manifest: ManifestAt,
      package: PackageAt,
      approved: Approved,
    }),
    evidence: z.object({
      commits: z.array(Commit).min(1),
      includes: z.object({ before: z.array(z.string()), after: z.array(z.string()) }),
      bump: z.object({ from: PackageVersion, to: PackageVersion, changes: z.array(SrcinfoChange) }),
    }),
  },
  build: {
    role: 'builder',
    request: z.object({
      commit: ObjectId,
      package: PackageAt,
      /** What was reviewed, and the part of it that the commit has to hold. */
      source: z.object({
        baseline: z.object({ tag: TagName, commit: ObjectId }),
        patchset: Sha256,
        /** SOURCE_DATE_EPOCH. */
        epochSeconds: z.int().min(0),
        patches: z.array(FileName).min(1),
      }),
      approved: Approved,
    }),
    evidence: z.object({
      commit: ObjectId,
      packages: z.array(PackageFile).min(1),
      /** `.BUILDINFO` of the first package: key → values. */
      buildinfo: z.record(z.string(), z.array(z.string())),
      /** How much of the prepared source differs from the previous build in the same worktree. */
      sources: z.object({ files: z.int(), changed: z.int(), removed: z.int() }),
      /** How many files kbuild reports as compiled (`CC`); absent if it reports none. */
      compiled: z.int().min(1).optional(),
      /**
       * The builds whose outputs the worktree held when this one began, as far as the builder remembers them: the last
       * one, and the one that began in an empty worktree.
       */
      before: z.object({ last: BuildBefore, first: BuildBefore.optional() }).optional(),
      seconds: Seconds,
      output: z.object({ lines: z.int(), sha256: Sha256 }),
      /** What confined the PKGBUILD's code; absent if the builder does not report it. */
      confinement: z
        .object({
          by: z.enum(['bwrap', 'none']),
          /** The user that it ran as. */
          uid: z.int().min(0),
          /** Whether prepare(), build() and package() could reach the network. */
          network: z.boolean(),
          /** Whether sources were fetched: then the PKGBUILD's top level, and its verify(), ran with network. */
          fetched: z.boolean(),
        })
        .optional(),
      /** SLSA provenance, by the builder. Without it no host takes the packages. */
      attestation: DsseEnvelope.optional(),
    }),
  },
  /** Runs before anything lands, so that a key that can't sign is found now and not after the build. */
  keycheck: {
    role: 'publisher',
    request: z.object({ fingerprint: Fingerprint }),
    evidence: z.object({
      fingerprint: Fingerprint,
      /** The day that the key expires, RFC 3339; null if never. */
      expires: z.iso.datetime().nullable(),
    }),
  },
  publish: {
    role: 'publisher',
    request: z.object({
      builder: HostName,
      /** The folder that the builder offers: `<iteration>.<attempt>`. */
      folder: FileName,
      packages: z.array(PackageFile).min(1),
      version: PackageVersion,
      /** The publisher refuses without it. */
      provenance: Provenance.optional(),
    }),
    evidence: z.object({
      repository: z.string(),
      /** The folder that is served now; absent if the publisher's repository has no views. */
      view: FileName.optional(),
      fingerprint: Fingerprint,
      packages: z.array(SignedPackageFile).min(1),
      database: z.object({ file: FileName, sha256: Sha256, signatureSha256: Sha256 }),
      /** What the mirror served when it was asked afterwards; null if the publisher has no mirror. */
      mirror: z.object({ url: z.string(), databaseSha256: Sha256, filesMatched: z.int() }).nullable(),
    }),
  },
  presweep: { role: 'board', request: SweepRequest, evidence: Swept },
  backup: {
    role: 'board',
    request: z.object({ host: HostName, names: z.array(PackageName).min(1), version: PackageVersion }),
    evidence: BackupHeld,
  },
  stage: {
    role: 'board',
    request: z.object({
      packages: z.array(SignedPackageFile).min(1),
      fingerprint: Fingerprint,
      /** The host to copy from over SSH when the repository stalls, and the view that holds the files there, if it has views. */
      lan: z.object({ host: HostName, view: FileName.optional() }),
    }),
    evidence: z.object({
      fingerprint: Fingerprint,
      packages: z.array(
        SignedPackageFile.extend({
          transfers: z.array(
            z.object({
              path: z.enum(['repository', 'lan', 'here']),
              bytes: SizeBytes,
              seconds: Seconds,
              complete: z.boolean(),
              why: z.string().optional(),
            }),
          ),
        }),
      ),
    }),
  },
  install: {
    role: 'board',
    request: z.object({
      packages: z.array(SignedPackageFile).min(1),
      fingerprint: Fingerprint,
      from: PackageVersion,
      to: PackageVersion,
      release: Release,
      /** The archive that a rollback would need; the board refuses without it. */
      backup: BackupHeld,
      /** The board refuses without it. */
      provenance: Provenance.optional(),
    }),
    evidence: Installed,
  },
  reboot: {
    role: 'board',
    request: z.object({
      names: z.array(PackageName).min(1),
      version: PackageVersion,
      release: Release,
      /** What the board goes back to by itself if nobody confirms the new kernel in time. */
      backup: BackupHeld,
      /** sha256 of the attestation of the build that is to run, which install has checked. */
      attestation: Sha256.optional(),
    }),
    evidence: Rebooted,
  },
  sweep: { role: 'board', request: SweepRequest, evidence: Swept },
  /** The new kernel is verified: the board's own deadline is called off. */
  confirm: {
    role: 'board',
    request: z.object({ names: z.array(PackageName).min(1), version: PackageVersion, release: Release }),
    evidence: z.object({
      version: PackageVersion,
      boot: Boot,
      /** What became of the deadline: called off now, or none was armed. */
      deadline: z.enum(['disarmed', 'none']),
    }),
  },
  rollback: {
    role: 'board',
    request: z.object({ reason: EndReason, from: PackageVersion, backup: BackupHeld }),
    evidence: z.object({ installed: Installed, rebooted: Rebooted }),
  },
  record: {
    role: 'builder',
    request: z.object({
      repository: RepositoryName,
      branch: BranchName,
      title: z.string(),
      files: z.array(z.object({ path: TreePath, content: Rendered })).min(1),
      /** In each of these files the first `before` becomes `after`; the rest stays as it is. */
      replacements: z
        .array(z.object({ path: TreePath, before: z.string().min(1), after: z.string() }))
        .default([]),
    }),
    evidence: z.object({ commit: Commit }),
  },
} as const satisfies Record<StepName, { role: Role; request: z.ZodObject; evidence: z.ZodObject }>;

/** A request as it is read: an older agent carries enum and union members that a newer coordinator adds. */
export type StepRequest<Name extends StepName> = Opened<z.infer<(typeof steps)[Name]['request']>>;
/** Evidence as it is read: an older reader carries enum and union members that a newer agent adds. */
export type StepEvidence<Name extends StepName> = Opened<z.infer<(typeof steps)[Name]['evidence']>>;

/**
 * What is at fault decides what happens next: another host may do what this `host` could not, but bad `work` fails
 * anywhere.
 */
export const Fault = z.enum(['work', 'host']);
export type Fault = z.infer<typeof Fault>;

/**
 * The kinds of failure that something depends on: the sign of a risk, or what a person is told to do. `too-old`: the
 * request needs something that the host's version does not know, and nothing was begun. `moved`: what would land is no
 * longer what people have approved, because somebody has changed the branch since preflight.
 */
export const failureCodes = [
  'conflict',
  'symbol-missing',
  'too-old',
  'moved',
  'no-room',
  'unreachable',
  'key-expired',
] as const;
export type FailureCode = (typeof failureCodes)[number];

export const Failure = z.object({
  fault: Fault,
  /** The kind of failure, if something depends on it: one of {@link failureCodes}, or a newer host's. */
  code: z.string().max(40).optional(),
  /** One sentence: what was found, what was expected, where. */
  reason: z.string(),
  /** The last lines of the step's output. */
  output: z.array(z.string()),
  /** The effects that were begun. None means that nothing was changed. */
  begun: z.array(z.string()).default([]),
  /** What was seen before the failure, in the shape of the step's evidence if it got that far. */
  seen: Shallow.optional(),
  /** For a build that failed: in-toto test result, by the builder. */
  attestation: DsseEnvelope.optional(),
});
export type Failure = z.infer<typeof Failure>;
