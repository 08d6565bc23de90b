import { attestationHash } from '../../../schemas/attestation.ts';
import { evidenceOf, type Iteration } from '../state.ts';
import type { Faults } from './check-rule.ts';

/** The fault if what a board installed or booted does not link to the build's own attestation. */
export const linkFault = (iteration: Iteration, linked: string | undefined): Faults[number] => {
  const attestation = evidenceOf(iteration, 'build')?.evidence.attestation;
  const expected = attestation && attestationHash(attestation);
  return (
    (linked === undefined || linked !== expected) && {
      code: 'attestation-differs',
      found: linked ?? null,
      expected: expected ?? null,
    }
  );
};
