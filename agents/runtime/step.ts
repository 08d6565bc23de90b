import type { Trust } from '../../eventlog/signing/trust.ts';
import type { Run } from '../../host/run.ts';
import type { DsseEnvelope, Statement } from '../../schemas/attestation.ts';
import type { EffectName } from '../../schemas/effects.ts';
import type { StepName } from '../../schemas/step-names.ts';
import type { StepEvidence, StepRequest } from '../../schemas/steps.ts';

/** A probe's answer to "has this already happened?". `unknown` needs a person, unless the step repairs it. */
export type Probed<Result> =
  | { happened: 'yes'; result: Result }
  | { happened: 'no' }
  | { happened: 'unknown'; why: string };

/** One change to the world, and the probe whether it has happened. */
export interface EffectParts<Result, Before = undefined> {
  /**
   * What `probe` and `act` need to know about the world before the change. It is journalled with the intent and
   * returned unchanged after a crash. Must survive JSON.
   */
  before?: () => Before | Promise<Before>;
  /** Asked after a crash between intent and result. Must look at the world itself. */
  probe: (before: Before) => Probed<Result> | Promise<Probed<Result>>;
  /**
   * Makes the change. It may run again after a crash if the probe says no. Its result must survive JSON. What it
   * changed must be on the disk when it returns: the journal is synced, and a power cut would otherwise leave a change
   * that is noted but lost. The same holds when `probe` says yes.
   */
  act: (before: Before) => Result | Promise<Result>;
}

/**
 * Runs a named effect once, for ever: the intent is journalled, then `act` runs, then its result is journalled. If the
 * result is in the journal, it is returned and nothing runs. If there is an intent without a result, `probe` is asked.
 * Only the names that `schemas/effects.ts` declares compile, alone or followed by an object: `package x.zst`. Names are
 * unique within a step.
 * @throws {Superseded} before anything is done, if the attempt is superseded.
 * @throws {NeedsPerson} if `probe` can't tell.
 */
export type Effect<Names extends EffectName = EffectName> = <Result, Before = undefined>(
  name: Names | `${Names} ${string}`,
  parts: EffectParts<Result, Before>,
) => Promise<Result>;

/**
 * What a step gets besides its request. It sees neither NATS nor SQLite. `Effects` are the names of the effects that it
 * may run: all those of a step, or those of a helper that several steps use.
 */
export interface StepContext<Host, Effects extends EffectName = never> {
  readonly iteration: string;
  readonly step: StepName;
  readonly attempt: number;
  /** When it was asked for, in milliseconds since 1970 by the clock of the log's server; undefined if nobody knows. */
  readonly askedAt?: number | undefined;
  /** `<iteration>.<attempt>`: safe as a file name, the same after a restart. */
  readonly key: string;
  readonly effect: Effect<Effects>;
  /** The host: its config and the programs that it names. */
  readonly host: Host;
  /** Runs a program whose output goes to the step's stream. */
  readonly run: Run;
  /** Signs a statement with this host's key. */
  readonly attest: (statement: Statement) => DsseEnvelope;
  /** Whom this host trusts, by its own trust file. */
  readonly trust: Trust;
  /** Adds a line to the step's output, for people who follow it. */
  readonly note: (line: string) => void;
  /** This attempt's own folder. It exists already, survives a restart, and is removed with the attempt. */
  readonly workFolder: string;
  /** What this host's own outcomes of a step have shown in this iteration, by its journal. */
  readonly ownEvidence: <Name extends StepName>(step: Name) => StepEvidence<Name>[];
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
