import type { FellBack } from '../../../schemas/boot.ts';
import type { StepEvidence } from '../../../schemas/steps.ts';
import { expectedRelease } from '../state.ts';
import { linkFault } from './attestation-link.ts';
import { type CheckRule, type Faults, ofEvidence } from './check-rule.ts';

const outcomeFault = ({ outcome, after, fellBack }: StepEvidence<'reboot'>): Faults[number] => {
  if (outcome === 'new-kernel') return undefined;
  if (outcome === 'fell-back')
    return {
      code: 'kernel-fell-back',
      procVersion: after.procVersion.trim(),
      fellBack: (fellBack as FellBack | undefined) ?? null,
    };
  return outcome === 'rebooted-twice' ? { code: 'rebooted-twice' } : { code: 'outcome-unknown', outcome };
};

export const kernelRunning: CheckRule<'kernel-running'> = ofEvidence('reboot', (evidence, { iteration }) => {
  const { outcome, before, after, imageBanner, package: installed, attestation } = evidence;
  const { to } = iteration.plan.package;
  const release = expectedRelease(iteration) ?? null;
  return [
    outcomeFault(evidence),
    after.bootId === before.bootId && { code: 'same-boot', bootId: before.bootId },
    !after.procVersion.startsWith(imageBanner) &&
      outcome !== 'fell-back' && {
        code: 'banner-differs',
        found: after.procVersion.trim(),
        expected: imageBanner,
      },
    after.release !== release && {
      code: 'release-differs',
      of: 'running',
      found: after.release,
      expected: release,
    },
    installed !== to && { code: 'version-differs', of: 'reboot', found: installed, expected: to },
    outcome === 'new-kernel' && linkFault(iteration, attestation),
  ];
});
