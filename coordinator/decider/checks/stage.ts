import { evidenceOf } from '../state.ts';
import { type CheckRule, ofEvidence } from './check-rule.ts';
import { differingFiles } from './publish.ts';

export const staged: CheckRule<'staged'> = ofEvidence(
  'stage',
  ({ fingerprint: found, packages }, { iteration, host }) => {
    const expected = iteration.fleet.signingKey;
    const published = evidenceOf(iteration, 'publish')?.evidence.packages ?? [];
    return [
      found !== expected && { code: 'key-differs', host, found, expected },
      ...differingFiles(published, packages, 'publish'),
    ];
  },
);
