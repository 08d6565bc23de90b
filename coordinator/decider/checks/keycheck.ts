import { type CheckRule, ofEvidence } from './check-rule.ts';

export const keyUsable: CheckRule<'key-usable'> = ofEvidence(
  'keycheck',
  ({ fingerprint: found }, { iteration, host }) => {
    const expected = iteration.fleet.signingKey;
    return [found !== expected && { code: 'key-differs', host, found, expected }];
  },
);
