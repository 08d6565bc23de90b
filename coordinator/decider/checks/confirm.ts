import { type CheckRule, ofEvidence } from './check-rule.ts';

export const confirmed: CheckRule<'confirmed'> = ofEvidence(
  'confirm',
  ({ version: found }, { iteration: { plan } }) => {
    const expected = plan.package.to;
    return [found !== expected && { code: 'version-differs', of: 'confirm', found, expected }];
  },
);
