import { evidenceOf } from '../state.ts';
import { type CheckRule, missing } from './check-rule.ts';

export const packagesBuilt: CheckRule<'packages-built'> = {
  step: 'build',
  judge: (_check, iteration) => {
    const found = evidenceOf(iteration, 'build');
    const landed = evidenceOf(iteration, 'land');
    if (!found || !landed) return undefined;
    const { names, to } = iteration.plan.package;
    const { packages, buildinfo, commit, attestation } = found.evidence;
    const versions = buildinfo.pkgver ?? [];
    const built = packages.map(({ name }) => name);
    return {
      faults: [
        ...missing(names, built).map(
          (name) => ({ code: 'package-missing', package: name, from: 'build' }) as const,
        ),
        (versions.length !== 1 || versions[0] !== to) && {
          code: 'version-differs',
          of: 'buildinfo',
          found: versions.join(', ') || null,
          expected: to,
        },
        !landed.evidence.commits.some((one) => one.commit === commit) && {
          code: 'commit-not-landed',
          commit,
        },
        !attestation && { code: 'not-attested', host: found.host, what: 'build' },
      ],
      events: [found.sequence],
    };
  },
};
