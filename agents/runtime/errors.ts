import { MachineFault, type MachineFaultCode } from '../../host/errors.ts';
import type { DsseEnvelope } from '../../schemas/attestation.ts';
import type { FailureCode, Fault } from '../../schemas/steps.ts';

/**
 * The step has definitely failed, and the failure is reported to the iteration. The thrower says what is at fault:
 * `work` (the series, the plan, the build itself), with which no other host would do better, or `host` (no room, no
 * key, a program missing), which a fallback may not share. `seen` is what was found out until then, in the shape of the
 * step's evidence; `attestation` is a signed statement that it failed.
 */
export class StepFailed extends Error {
  override readonly name = 'StepFailed';
  readonly fault: Fault;
  /** The kind of failure, if something depends on it. */
  readonly code: FailureCode | undefined;
  readonly seen: unknown;
  readonly attestation: DsseEnvelope | undefined;

  constructor(
    fault: Fault,
    reason: string,
    options: { code?: FailureCode; seen?: unknown; attestation?: DsseEnvelope; cause?: unknown } = {},
  ) {
    super(reason, options.cause === undefined ? {} : { cause: options.cause });
    this.fault = fault;
    this.code = options.code;
    this.seen = options.seen;
    this.attestation = options.attestation;
  }
}

/** What is at fault for each code: another host may have the room, but not a file that no peer has. */
const blame: Record<MachineFaultCode, Fault> = {
  'no-room': 'host',
  unreachable: 'host',
  'login-refused': 'host',
  'wrong-host-key': 'host',
  altered: 'host',
  'no-such-file': 'work',
  'other-bytes': 'work',
  'path-refused': 'work',
};

/** Turns a MachineFault into a StepFailed. Any other error is returned as it is. */
export const asStepFailed = (error: unknown): unknown =>
  error instanceof MachineFault
    ? new StepFailed(blame[error.code], error.message, {
        cause: error.cause,
        ...(error.code === 'no-room' || error.code === 'unreachable' ? { code: error.code } : {}),
      })
    : error;

/** The attempt is superseded: stop, change nothing more, report no evidence. */
export class Superseded extends Error {
  override readonly name = 'Superseded';
}

/** Nobody can tell whether an effect has happened. This is never guessed: a person has to look. */
export class NeedsPerson extends Error {
  override readonly name = 'NeedsPerson';
}

/** The exit code by which an agent asks not to be started again: EX_CONFIG, sysexits(3). */
export const staysDownCode = 78;

/** Another agent that was started later has this host's identity: this one stops, and is not to be started again. */
export class ReplacedAgent extends Error {
  override readonly name = 'ReplacedAgent';
}

/** The log and this host's journal contradict each other. Nobody guesses which one is right: the host stops working. */
export class JournalContradicted extends Error {
  override readonly name = 'JournalContradicted';
}
