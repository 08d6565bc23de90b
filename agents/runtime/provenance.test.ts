import { describe, expect, it } from 'vitest';
import {
  attestedBy,
  exampleAbout,
  exampleApproval,
  exampleBuild,
  exampleProvenance,
  exampleSweep,
  signedBy,
} from '../../coordinator/testing/example-attestation.ts';
import { exampleTrust } from '../../coordinator/testing/example-plan.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { payloadTypes } from '../../eventlog/signing/writer-key.ts';
import type { DsseEnvelope, Provenance, ProvenanceStatement } from '../../schemas/attestation.ts';
import { attestationHash } from '../../schemas/attestation.ts';
import type { NewEvent } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import { StepFailed } from './errors.ts';
import { requireProvenance } from './provenance.ts';

const packages = ['linux', 'linux-headers'].map((name) => ({
  file: `${name}-7.0-2-aarch64.pkg.tar.zst`,
  sha256: sha256(name),
}));
const [one = { file: '', sha256: '' }] = packages;
const good = exampleProvenance(packages);
const about = { ...exampleAbout, planSha256: good.planSha256 };

const refusal = (provenance: Provenance | undefined, { trust = exampleTrust, asked = packages } = {}) => {
  try {
    requireProvenance(provenance, trust, 'iter5', { packages: asked, version: '7.0-2' });
  } catch (error) {
    if (error instanceof StepFailed && error.fault === 'work') return error.message;
    throw error;
  }
  return 'accepted';
};

const attested = (attestation: DsseEnvelope): Provenance => ({ ...good, attestation });
const saying = (change: (statement: ProvenanceStatement) => unknown, host = 'boltzmann'): Provenance => {
  const statement = exampleBuild(packages, about);
  change(statement);
  return attested(attestedBy(host, statement));
};
const parameters = (change: Record<string, unknown>) =>
  saying(({ predicate }) => Object.assign(predicate.buildDefinition.externalParameters, change));
const approved = (...approvals: SignedEvent[]): Provenance => ({ ...good, approvals });
const approvalOf = (by: string, type: 'ReviewApproved' | 'ReviewRejected' = 'ReviewApproved'): NewEvent => {
  const { board, planSha256, trees } = about;
  const data = { by, note: '', board, planSha256, trees, expires: '2099-01-01T00:00:00Z' };
  return { type, iteration: 'iter5', attempt: 1, data };
};
const says = (writer: string, ...approval: Parameters<typeof approvalOf>) =>
  signedBy(writer, approvalOf(...approval));
const other = 'a'.repeat(40);
const otherTrees = [{ purpose: 'packaging', tree: other }];

it('accepts packages that a pinned builder attests and a person has approved, and names the attestation', () => {
  expect(requireProvenance(good, exampleTrust, 'iter5', { packages, version: '7.0-2' })).toMatchObject({
    attestation: attestationHash(good.attestation),
  });
  const approvals = [exampleApproval(about), exampleApproval(about, 'mfritsche')];
  expect(refusal(approved(...approvals))).toBe('accepted');
});

describe('refuses', () => {
  const { attestation } = good;
  const [signature = { keyid: '', sig: '' }] = attestation.signatures;
  const bytes = Buffer.from(attestation.payload, 'base64');
  const payloadWith = (text: string) =>
    Buffer.from(bytes.toString().replace('iter5', text)).toString('base64');
  const withSignature = (sig: string, keyid = signature.keyid) =>
    attested({ ...attestation, signatures: [{ keyid, sig }] });

  it.each<[string, Provenance | undefined, RegExp]>([
    ['a request without any', undefined, /carries no attestation/],
    ['a changed payload', attested({ ...attestation, payload: payloadWith('iter6') }), /is not by U/],
    [
      'a changed signature',
      withSignature(`${signature.sig.startsWith('A') ? 'B' : 'A'}${signature.sig.slice(1)}`),
      /is not by U/,
    ],
    [
      'a payload spelt in another way',
      attested({ ...attestation, payload: attestation.payload.replace(/=*$/, '\n') }),
      /not strict base64/,
    ],
    [
      'another type string',
      attested({ ...attestation, payloadType: payloadTypes.event }),
      /holds application/,
    ],
    [
      'a signature over another type string',
      withSignature(testKey('boltzmann').sign(payloadTypes.event, bytes)),
      /is not by U/,
    ],
    [
      'two signatures',
      attested({ ...attestation, signatures: [signature, signature] }),
      /2 signatures; expected one/,
    ],
    [
      'a signer that is nobody',
      withSignature(testKey('mallory').sign(payloadTypes.inToto, bytes), testKey('mallory').publicKey),
      /which is not pinned/,
    ],
    ['a signer that is no builder', saying(() => undefined, 'hertz'), /which is not pinned/],
    ['the coordinator for a builder', saying(() => undefined, 'coordinator'), /which is not pinned/],
    [
      'a test result for provenance',
      attested(attestedBy('boltzmann', exampleSweep(packages))),
      /not SLSA provenance v1/,
    ],
    [
      'a later provenance than it knows',
      saying((statement) => Object.assign(statement, { predicateType: 'https://slsa.dev/provenance/v2' })),
      /not SLSA provenance v1/,
    ],
    [
      'another kind of build',
      saying(({ predicate }) => Object.assign(predicate.buildDefinition, { buildType: 'urn:other' })),
      /of type urn:other/,
    ],
    ['parameters that are none', parameters({ commit: 'HEAD' }), /and its parameters/],
    ['another fleet', parameters({ fleet: 'other' }), /the fleet other; expected reauktion/],
    ['another iteration', parameters({ iteration: 'iter4' }), /the iteration iter4; expected iter5/],
    ['another plan', parameters({ planSha256: sha256('other') }), /the planSha256 \w{64}; expected/],
    ['other trees', parameters({ trees: otherTrees }), /the trees .*a{40}.*; expected/],
    ['no trees', parameters({ trees: undefined }), /and its parameters/],
    ['another board', parameters({ board: 'ohm' }), /the board ohm; expected fresnel/],
    ['another patchset', parameters({ patchset: sha256('other') }), /the patchset \w{64}; expected/],
    ['another commit', parameters({ commit: other }), /the commit a{40}; expected/],
    ['no approval', approved(), /Nobody has approved the trees/],
    [
      'an approval that is signed by somebody else',
      approved({ ...exampleApproval(about), writer: '@mfritsche' }),
      /its signature is not @mfritsche's/,
    ],
    [
      'an approval that was changed',
      approved({ ...exampleApproval(about), bytes: Buffer.from('{}').toString('base64') }),
      /its signature is not @architect's/,
    ],
    ["a host's approval", approved(says('boltzmann', 'architect')), /boltzmann may not write ReviewApproved/],
    [
      "the coordinator's approval",
      approved(says('coordinator', 'architect')),
      /coordinator may not write ReviewApproved/,
    ],
    ["a stranger's approval", approved(says('@mallory', 'mallory')), /its signature is not @mallory's/],
    [
      'an approval that names another writer than its signer',
      approved(signedBy('@mfritsche', approvalOf('architect'), '@architect')),
      /it names @architect's .* which is not what its subject says/,
    ],
    [
      "an approval in another's name",
      approved(says('@mfritsche', 'architect')),
      /nobody may approve for others/,
    ],
    ['a rejection', approved(says('@architect', 'architect', 'ReviewRejected')), /ReviewRejected; expected/],
    [
      'a rejection beside an approval',
      approved(exampleApproval(about), says('@mfritsche', 'mfritsche', 'ReviewRejected')),
      /ReviewRejected; expected/,
    ],
    [
      'an approval of another plan',
      approved(exampleApproval({ ...about, planSha256: sha256('other') })),
      /has approved the planSha256/,
    ],
    [
      'an approval of other trees',
      approved(exampleApproval({ ...about, trees: otherTrees })),
      /has approved the trees packaging a{40}; expected/,
    ],
    [
      'an approval for another board',
      approved(exampleApproval({ ...about, board: 'ohm' })),
      /has approved the board ohm; expected fresnel/,
    ],
    [
      'an approval of another iteration',
      approved(exampleApproval({ ...about, iteration: 'iter4' })),
      /has approved the iteration iter4; expected iter5/,
    ],
  ])('%s', (_what, provenance, message) => {
    expect(refusal(provenance)).toMatch(message);
  });

  it.each([
    ['another package', [{ ...one, file: 'other.pkg.tar.zst' }, ...packages.slice(1)]],
    ['a package with other bytes', [{ ...one, sha256: sha256('other') }, ...packages.slice(1)]],
    ['a package more', [...packages, { file: 'more.pkg.tar.zst', sha256: sha256('more') }]],
    ['a package less', packages.slice(1)],
    ['the same package twice', [one, one]],
  ])('%s', (_what, asked) => {
    expect(refusal(good, { asked })).toMatch(/is about the packages/);
  });

  it('an approval by somebody who may not approve', () => {
    const writers = new Map(exampleTrust.writers);
    const architect = exampleTrust.writers.get('@architect');
    if (architect) writers.set('@architect', { ...architect, may: ['start', 'retry'] });
    expect(refusal(good, { trust: { ...exampleTrust, writers } })).toMatch(/may not write ReviewApproved/);
  });

  it('an approval of another fleet with the same keys', () => {
    const trust = { ...exampleTrust, fleet: 'other' };
    const inOther = { ...good, attestation: parameters({ fleet: 'other' }).attestation };
    expect(refusal(inOther, { trust })).toMatch(/it belongs to fleet reauktion, and this is other/);
  });
});
