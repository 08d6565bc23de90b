import { type NewEvent, personWriter } from '../../schemas/events.ts';
import type { VoidedReason } from '../../schemas/reasons.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { countedApprovals } from './graph.ts';
import { isRevokedAfter, revokedSince } from './key-periods.ts';
import { iterationEvent, supersede } from './new-events.ts';
import { type Iteration, lastAttempt, type State } from './state.ts';

type Keys = Pick<State, 'keys'>;

/** The steps whose requests carry approvals, which a host checks when it begins. */
const withApprovals = ['land', 'build', 'publish'] as const satisfies readonly StepName[];
/** The steps that work on what a build has made, the last one first. */
const onBuild = ['stage', 'publish', 'build'] as const satisfies readonly StepName[];

/** The approvals that count, and whose key has been revoked since. */
const voidedApprovals = (iteration: Iteration, keys: Keys): NewEvent[] =>
  countedApprovals(iteration).flatMap(({ by, sequence }) => {
    const writer = personWriter(by);
    const publicKey = revokedSince(keys, writer, sequence);
    if (publicKey === undefined) return [];
    const data = { by, approval: sequence, reason: { code: 'key-revoked', writer, publicKey } as const };
    return [iterationEvent(iteration.name, 'ApprovalVoided', sequence, data, iteration.last.eventId)];
  });

/** The open attempts that were asked with an approval that no longer counts: their hosts would refuse it. */
const staleRequests = (iteration: Iteration): NewEvent[] =>
  withApprovals.flatMap((step) => {
    const attempt = lastAttempt<StepName>(iteration, step);
    if (attempt?.status !== 'open') return [];
    const asked = attempt.requested.sequence;
    const [reason] = iteration.approvals.flatMap(({ voided, sequence }) =>
      voided && voided.reason.code !== 'unknown' && sequence < asked && asked < voided.sequence
        ? [voided.reason as VoidedReason]
        : [],
    );
    return reason ? [supersede(iteration, step, attempt, reason, true)] : [];
  });

/**
 * The key of the build's builder that has been revoked since it was asked. A builder that still signs with such a key when
 * it is asked again is not asked for ever: the publisher refuses its build.
 */
const revokedBuilder = (iteration: Iteration, keys: Keys): string | undefined => {
  const build = lastAttempt(iteration, 'build');
  if (build?.status !== 'open' && build?.status !== 'succeeded') return undefined;
  const { host, requested } = build;
  if (build.status === 'open') return revokedSince(keys, host, requested.sequence);
  const key = build.evidence.attestation?.signatures[0]?.keyid;
  return key !== undefined && isRevokedAfter(keys, host, key, requested.sequence) ? key : undefined;
};

/** The build that its builder can no longer attest, and what was done with its packages. */
const unattestedBuild = (iteration: Iteration, keys: Keys): NewEvent[] => {
  const publicKey = revokedBuilder(iteration, keys);
  const writer = lastAttempt(iteration, 'build')?.host;
  if (publicKey === undefined || writer === undefined) return [];
  const reason = { code: 'key-revoked', writer, publicKey } as const;
  return onBuild.flatMap((step) => {
    const attempt = lastAttempt<StepName>(iteration, step);
    return attempt?.status === 'open' || attempt?.status === 'succeeded'
      ? [supersede(iteration, step, attempt, reason, true)]
      : [];
  });
};

/**
 * What no longer counts because a key has been revoked: approvals, and a build with its packages. The iteration then asks
 * for what is missing, instead of asking hosts for what they would refuse. Once the board was asked to install, nothing is
 * taken back: the board has checked it, or says that it did not.
 */
export const revocationsIn = (iteration: Iteration, keys: Keys): NewEvent[] => {
  const install = lastAttempt(iteration, 'install')?.status;
  if (install === 'open' || install === 'succeeded') return [];
  return [
    ...voidedApprovals(iteration, keys),
    ...staleRequests(iteration),
    ...unattestedBuild(iteration, keys),
  ];
};
