import { z } from 'zod';
import { CheckFault, Verdict } from './check-faults.ts';
import {
  ClauseName,
  HostName,
  IterationName,
  PackageVersion,
  PersonName,
  PublicKey,
  RepositoryName,
  WriterName,
} from './names.ts';
import { Role, StepName } from './step-names.ts';

/**
 * Why the coordinator decides what it decides: a code with its facts. `coordinator/reading/english/` turns it into a
 * sentence for readers. The words of a host or a person are kept unchanged under `says`, and no decision depends on
 * them.
 */
const reason = <Code extends string, Shape extends z.core.$ZodLooseShape>(code: Code, shape: Shape) =>
  z.object({ code: z.literal(code), ...shape });

const Seconds = z.int().min(0);

/** Why an attempt that is still open is given up. */
const givenUp = [
  /** It was open for longer than the step's limit. */
  reason('step-overdue', { host: HostName, step: StepName, limitSeconds: Seconds }),
  /** Its host was silent for longer than its grace, and another one can take over. */
  reason('host-silent', { host: HostName, silentSeconds: Seconds, graceSeconds: Seconds }),
  /** It was requested before the log was restored, and its host has not heard of it. */
  reason('never-arrived', { host: HostName, epoch: z.int().min(1) }),
] as const;

/** The verdict of a clause that keeps the iteration from closing, and why. */
const Unproved = z.object({
  clause: ClauseName,
  verdict: Verdict,
  faults: z.array(CheckFault),
});

/** Why an iteration can't reach its close any more. */
const endings = [
  reason('aborted', { by: PersonName, says: z.string() }),
  reason('rejected', { by: PersonName, says: z.string() }),
  reason('step-failed', {
    step: StepName,
    host: HostName,
    attempt: z.int().min(1),
    /** Why the host says that it failed. */
    says: z.string(),
    failure: z.string().optional(),
  }),
  reason('step-given-up', {
    step: StepName,
    host: HostName,
    attempt: z.int().min(1),
    reason: z.discriminatedUnion('code', givenUp),
  }),
  /**
   * A step's evidence is not what the plan, or the step itself, asks for. `clause` is null if no clause asks for it.
   */
  reason('check-failed', {
    step: StepName,
    check: z.string(),
    clause: ClauseName.nullable(),
    verdict: Verdict,
    faults: z.array(CheckFault),
  }),
  reason('nothing-to-build', { repository: RepositoryName }),
  /** The board went back on its own, or could not. */
  reason('went-back', { host: HostName, version: PackageVersion, restored: z.boolean(), says: z.string() }),
  /** Every step is done, and these clauses are not proved. */
  reason('unproved', { clauses: z.array(Unproved) }),
] as const;

/** Why an iteration failed or was aborted. */
export const EndReason = z.discriminatedUnion('code', endings);
export type EndReason = z.infer<typeof EndReason>;

/** A key that signed what is needed was revoked: hosts refuse it as soon as their own fleet file says so. */
const keyRevoked = reason('key-revoked', { writer: WriterName, publicKey: PublicKey });

/** Why an approval no longer counts. */
export const VoidedReason = z.discriminatedUnion('code', [keyRevoked]);
export type VoidedReason = z.infer<typeof VoidedReason>;

/** Why an attempt no longer counts. */
export const SupersededReason = z.discriminatedUnion('code', [
  ...givenUp,
  keyRevoked,
  /** The iteration ends, and what runs is stopped. */
  reason('iteration-ends', { reason: EndReason }),
]);
export type SupersededReason = z.infer<typeof SupersededReason>;
export type GivenUpReason = Exclude<SupersededReason, { code: 'iteration-ends' | 'key-revoked' }>;

/** Why a board that was changed counts as lost. */
export const LostReason = z.discriminatedUnion('code', [
  reason('overdue-and-silent', { step: StepName, limitSeconds: Seconds, silentSeconds: Seconds }),
]);
export type LostReason = z.infer<typeof LostReason>;

/** What keeps a board from being as it was before the iteration. */
export const RollbackFault = z.discriminatedUnion('code', [
  reason('not-asked', {}),
  reason('not-done', {}),
  reason('rollback-failed', { says: z.string() }),
  reason('rollback-given-up', { reason: SupersededReason }),
  reason('other-version', { found: z.string(), expected: z.string() }),
  reason('other-kernel', { procVersion: z.string() }),
]);
export type RollbackFault = z.infer<typeof RollbackFault>;

/** What a person needs to know to put a board back by hand. */
export const Stranded = z.object({
  host: HostName,
  /** Whether it was given up because it is lost; otherwise because as many rollbacks failed as `rollbacks` says. */
  isLost: z.boolean(),
  rollbacks: z.int().min(0),
  fault: RollbackFault,
  /** The version that it had, and where the backup of it is; null if there is none. */
  version: PackageVersion,
  backup: z.object({ file: z.string(), host: HostName, place: z.string() }).nullable(),
});
export type Stranded = z.infer<typeof Stranded>;

/** Why a person's request can't be done as things are. */
export const Refusal = z.discriminatedUnion('code', [
  reason('no-such-iteration', { names: z.array(z.string()) }),
  reason('name-taken', { by: PersonName, time: z.string() }),
  reason('board-busy', { board: HostName, iteration: IterationName }),
  /** No host publishes or installs what nobody has approved. */
  reason('nobody-reviews', {}),
  reason('only-approver', { by: PersonName }),
  /** The fleet wants more people to approve than the plan asks, not counting the one who starts it unless both say so. */
  reason('too-few-approvers', {
    by: PersonName,
    authorCounts: z.boolean(),
    approvers: z.array(PersonName),
    expected: z.int().min(1),
  }),
  /** The plan needs something that this coordinator's version does not know. */
  reason('too-old', { needs: z.array(z.string()) }),
  /** The plan is not what its text says, or its hash is not that of text and series. */
  reason('plan-differs', {}),
  reason('host-unknown', { host: z.string() }),
  reason('host-role', { host: z.string(), role: Role, expected: z.array(Role) }),
  reason('person-unknown', { person: z.string() }),
  reason('may-not-approve', { person: z.string() }),

  reason('has-ended', { status: z.string() }),
  reason('under-way', {}),
  reason('rolled-back', { board: HostName }),
  /** An approval is for one landing, and what has landed differs from what was to be landed. */
  reason('landed-otherwise', {}),
  reason('asked-already', {}),

  reason('nothing-to-review', {}),
  reason('not-asked-to-review', { by: z.string(), approvals: z.array(z.string()) }),
  reason('past-review', {}),
  reason('being-aborted', { by: z.string() }),
  reason('nothing-to-waive', { status: z.string() }),
  reason('no-such-clause', { clause: z.string(), clauses: z.array(z.string()) }),
  reason('waived-already', { clause: z.string(), by: z.string() }),
  /** The iteration is decided by rules of a newer coordinator. */
  reason('rules-unknown', { rules: z.array(z.string()) }),
]);
export type Refusal = z.infer<typeof Refusal>;
