import { describe, expect, it } from 'vitest';
import { DsseEnvelope, ProvenanceStatement, TestResultStatement } from './attestation.ts';

const commit = 'a'.repeat(40);
const sha256 = 'b'.repeat(64);

/** The least that each format accepts. */
const provenance = {
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ name: 'linux.pkg.tar.zst', digest: { sha256 } }],
  predicateType: 'https://slsa.dev/provenance/v1',
  predicate: {
    buildDefinition: { buildType: 'https://example.org/v1', externalParameters: { ref: 'main' } },
    runDetails: { builder: { id: 'https://example.org/builder' } },
  },
};
const tested = {
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ name: 'sources', digest: { gitCommit: commit } }],
  predicateType: 'https://in-toto.io/attestation/test-result/v0.1',
  predicate: {
    result: 'WARNED',
    configuration: [
      { name: 'ci.yml', downloadLocation: 'https://example.org/ci.yml', digest: { gitBlob: commit } },
    ],
    url: 'https://example.org/runs/1',
    passedTests: ['a'],
    warnedTests: ['b'],
    failedTests: [],
  },
};

it('accepts statements of other programs, with members that we do not know', () => {
  expect(ProvenanceStatement.parse({ ...provenance, more: 1 })).toEqual(provenance);
  expect(TestResultStatement.parse(tested)).toEqual(tested);
});

describe('refuses', () => {
  it.each([
    ['an older statement', { ...provenance, _type: 'https://in-toto.io/Statement/v0.1' }],
    ['an older provenance', { ...provenance, predicateType: 'https://slsa.dev/provenance/v0.2' }],
    ['a statement about nothing', { ...provenance, subject: [] }],
    ['a subject without a digest', { ...provenance, subject: [{ name: 'linux.pkg.tar.zst', digest: {} }] }],
    ['a digest that is none', { ...provenance, subject: [{ name: 'a', digest: { sha256: 'XYZ' } }] }],
    [
      'a dependency that nothing identifies',
      {
        ...provenance,
        predicate: {
          ...provenance.predicate,
          buildDefinition: { ...provenance.predicate.buildDefinition, resolvedDependencies: [{ name: 'a' }] },
        },
      },
    ],
    ['a test result', tested],
  ])('%s for provenance', (_what, statement) => {
    expect(ProvenanceStatement.safeParse(statement).success).toBe(false);
  });

  it('a result that is none of the three', () => {
    const other = { ...tested, predicate: { ...tested.predicate, result: 'SKIPPED' } };
    expect(TestResultStatement.safeParse(other).success).toBe(false);
  });

  it('an envelope with no signature, or two', () => {
    const signature = { keyid: `U${'A'.repeat(55)}`, sig: 'AAAA' };
    const envelope = { payloadType: 'application/vnd.in-toto+json', payload: 'e30=' };
    expect(DsseEnvelope.safeParse({ ...envelope, signatures: [signature] }).success).toBe(true);
    for (const signatures of [[], [signature, signature]])
      expect(DsseEnvelope.safeParse({ ...envelope, signatures }).success).toBe(false);
  });
});
