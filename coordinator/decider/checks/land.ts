import type { StepEvidence } from '../../../schemas/steps.ts';
import type { Iteration } from '../state.ts';
import { type CheckRule, type Faults, missing, ofEvidence } from './check-rule.ts';

const commitTo = ({ commits }: StepEvidence<'land'>, repository: string) =>
  commits.find((commit) => commit.repository === repository);

/** The fault if a patch of the series is not in the manifest's repository, under the scope, byte for byte. */
const landedPatch = (
  evidence: StepEvidence<'land'>,
  { plan, series }: Iteration,
  file: string,
): Faults[number] => {
  const path = `patches/${plan.series.scope}/${file}`;
  const found = commitTo(evidence, plan.manifest.repository)?.files.find((one) => one.path === path);
  const patch = series.find((one) => one.file === file);
  return found?.sha256 !== patch?.sha256 && { code: 'patch-not-landed', path, isThere: found !== undefined };
};

export const patchesLanded: CheckRule<'patches-landed'> = ofEvidence('land', (evidence, { iteration }) =>
  iteration.series.map(({ file }) => landedPatch(evidence, iteration, file)),
);

export const patchLanded: CheckRule<'patch-landed'> = ofEvidence('land', (evidence, { check, iteration }) => [
  landedPatch(evidence, iteration, check.patch),
]);

export const manifestIncludes: CheckRule<'manifest-includes'> = ofEvidence(
  'land',
  ({ includes }, { iteration: { plan, series } }) => {
    const manifest = plan.manifest.file;
    const wanted = series.map(({ file }) => `${plan.series.scope}/${file}`);
    return [
      ...missing(wanted, includes.after).map((entry) => ({ code: 'not-included', manifest, entry }) as const),
      ...missing(includes.before, includes.after).map(
        (entry) => ({ code: 'include-lost', manifest, entry }) as const,
      ),
    ];
  },
);

export const packageBumped: CheckRule<'package-bumped'> = ofEvidence(
  'land',
  (evidence, { iteration: { plan } }) => {
    const { repository, from, to } = plan.package;
    const { bump } = evidence;
    return [
      !commitTo(evidence, repository) && { code: 'nothing-committed', repository },
      bump.from !== from && { code: 'bump-differs', end: 'from', found: bump.from, expected: from },
      bump.to !== to && { code: 'bump-differs', end: 'to', found: bump.to, expected: to },
    ];
  },
);
