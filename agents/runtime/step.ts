import type { Trust } from '../../eventlog/signing/trust.ts';
import type { Run } from '../../host/run.ts';
import type { DsseEnvelope, Statement } from '../../schemas/attestation.ts';
import type { EffectName } from '../../schemas/effects.ts';
import type { StepName } from '../../schemas/step-names.ts';
import type { StepEvidence, StepRequest } from '../../schemas/steps.ts';

/** A probe's answer to "has this already happened?". Unknown is for a person, unless the step repairs it. */
export type Probed<Result> =
  | { happened: 'yes'; result: Result }
  | { happened: 'no' }
  | { happened: 'unknown'; why: string };

/** One change to the world, and the question whether it has happened. */
export interface EffectParts<Result, Before = undefined> {
  /**
   * What `probe` and `act` will need to know of the world before the change; it is journalled with the intent
   * and comes back unchanged after a crash. Must survive JSON.
   */
  before?: () => Before | Promise<Before>;
  /** Asked after a crash between intent and result. Must look at the world itself. */
  probe: (before: Before) => Probed<Result> | Promise<Probed<Result>>;
  /**
   * Does it. May be run again after a crash whose probe said no. Its result must survive JSON, and what it changed be on
   * the disk: the journal is, and a power cut would leave a change that is noted and not there. So too where `probe` says yes.
   */
  act: (before: Before) => Result | Promise<Result>;
}

/**
 * Runs a named effect once, for ever: the intent is journalled, then `act` runs, then its result is journalled.
 * A result that is in the journal is returned and nothing runs. An intent without a result asks `probe`.
 * Only the names that `schemas/effects.ts` declares compile, alone or followed by what this one is of: `package x.zst`.
 * Names are unique within a step.
 * @throws {Superseded} before anything is done, if the attempt is no longer asked for.
 * @throws {NeedsPerson} if `probe` can't tell.
 */
export type Effect<Names extends EffectName = EffectName> = <Result, Before = undefined>(
  name: Names | `${Names} ${string}`,
  parts: EffectParts<Result, Before>,
) => Promise<Result>;

/**
 * What a step gets besides its request. It sees neither NATS nor SQLite. `Effects` are the names of the effects that
 * it may have: all of a step's, or those that a helper of several steps runs.
 */
export interface StepContext<Host, Effects extends EffectName = never> {
  readonly iteration: string;
  readonly step: StepName;
  readonly attempt: number;
  /** `<iteration>.<attempt>`: safe as a file name, the same after a restart. */
  readonly key: string;
  readonly effect: Effect<Effects>;
  /** The host: its config and the programs that it names. */
  readonly host: Host;
  /** Runs a program whose output goes to the step's stream. */
  readonly run: Run;
  /** Signs a statement with this host's key. */
  readonly attest: (statement: Statement) => DsseEnvelope;
  /** Whom this host trusts, by its own copy of the fleet's file. */
  readonly trust: Trust;
  /** A line of the step's own, for whoever follows its output. */
  readonly note: (line: string) => void;
  /** This attempt's own folder. It is there, it survives a restart, and it goes away with the attempt. */
  readonly workFolder: string;
  /** The boot ids that this host's journal has seen after the given one, oldest first. */
  readonly bootsAfter: (bootId: string) => string[];
  /** Fires when the attempt is superseded or the agent stops. */
  readonly signal: AbortSignal;
}

/** A unit of work on one host: its effects in the order in which they happen. Its result is evidence. */
export type Step<Name extends StepName, Host> = (
  request: StepRequest<Name>,
  context: StepContext<Host, EffectName<Name>>,
) => Promise<StepEvidence<Name>>;
