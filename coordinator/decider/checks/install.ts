import { linkFault } from './attestation-link.ts';
import { type CheckRule, type Faults, missing, ofEvidence } from './check-rule.ts';

const altered = (name: string, files: readonly string[]): Faults[number] =>
  files.length > 0 && {
    code: 'files-altered',
    package: name,
    files: files.slice(0, 20),
    count: files.length,
  };

export const packageInstalled: CheckRule<'package-installed'> = ofEvidence(
  'install',
  ({ version, packages, attestation }, { iteration }) => {
    const { names, to: expected } = iteration.plan.package;
    const installed = packages.map(({ name }) => name);
    return [
      version !== expected && { code: 'version-differs', of: 'install', found: version, expected },
      ...missing(names, installed).map(
        (name) => ({ code: 'package-missing', package: name, from: 'install' }) as const,
      ),
      ...packages.flatMap(
        ({ name, version: found, filesChecked, filesAltered }): Faults => [
          found !== expected && { code: 'version-differs', of: 'package', package: name, found, expected },
          filesChecked === 0 && { code: 'no-file-checked', package: name },
          altered(name, filesAltered),
        ],
      ),
      linkFault(iteration, attestation),
    ];
  },
);
