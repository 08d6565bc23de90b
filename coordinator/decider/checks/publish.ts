import { evidenceOf } from '../state.ts';
import { type CheckRule, type Faults, ofEvidence } from './check-rule.ts';

/** A fault for each file whose bytes differ from those of the step that made it. */
export const differingFiles = (
  made: readonly { file: string; sha256: string }[],
  found: readonly { file: string; sha256: string }[],
  from: 'build' | 'publish',
): Faults =>
  made.map(
    ({ file, sha256 }) =>
      found.find((one) => one.file === file)?.sha256 !== sha256 && { code: 'package-differs', file, from },
  );

export const packagesSigned: CheckRule<'packages-signed'> = ofEvidence(
  'publish',
  ({ fingerprint: found, packages }, { iteration, host }) => {
    const expected = iteration.fleet.signingKey;
    const built = evidenceOf(iteration, 'build')?.evidence.packages ?? [];
    return [
      found !== expected && { code: 'key-differs', host, found, expected },
      ...differingFiles(built, packages, 'build'),
    ];
  },
);

export const mirrored: CheckRule<'mirrored'> = ofEvidence('publish', ({ packages, mirror, database }) => {
  if (mirror === null) return [{ code: 'no-mirror' }];
  const { url, databaseSha256, filesMatched: found } = mirror;
  const expected = packages.length;
  return [
    databaseSha256 !== database.sha256 && { code: 'mirror-database-differs', url },
    found < expected && { code: 'mirror-lacks-packages', url, found, expected },
  ];
});
