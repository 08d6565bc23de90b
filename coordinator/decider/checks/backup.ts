import { installedBefore } from '../../../schemas/plan.ts';
import { type CheckRule, missing, ofEvidence } from './check-rule.ts';

export const backupHeld: CheckRule<'backup-held'> = ofEvidence(
  'backup',
  ({ version, packages, host }, { iteration: { plan } }) => {
    const before = installedBefore(plan);
    const names = packages.map(({ name }) => name);
    return [
      version !== before && { code: 'version-differs', of: 'backup', found: version, expected: before },
      host !== plan.hosts.backup && { code: 'place-differs', found: host, expected: plan.hosts.backup },
      ...missing(plan.package.names, names).map(
        (name) => ({ code: 'package-missing', package: name, from: 'backup' }) as const,
      ),
    ];
  },
);
