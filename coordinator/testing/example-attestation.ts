import { signEnvelope } from '../../eventlog/signing/envelope.ts';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import {
  buildType,
  type DsseEnvelope,
  hostUri,
  type Provenance,
  type ProvenanceStatement,
  type Statement,
  type TestResultStatement,
} from '../../schemas/attestation.ts';
import { type NewEvent, personWriter } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import type { ApprovedTree } from '../../schemas/reviewed.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import type { PackageFile } from '../../schemas/steps.ts';
import { testKey } from './test-key.ts';

const fleet = 'reauktion';

export const objectId = (text: string) => sha256(text).slice(0, 40);

/** A statement in its envelope, signed by a host of the example fleet. */
export const attestedBy = (host: string, statement: Statement): DsseEnvelope =>
  signEnvelope(testKey(host), new TextEncoder().encode(JSON.stringify(statement)));

type Packages = readonly Pick<PackageFile, 'file' | 'sha256'>[];
const subjectsOf = (packages: Packages) =>
  packages.map(({ file, sha256: hash }) => ({ name: file, digest: { sha256: hash } }));

/** The subject of the example's builds and approvals. */
export interface About {
  iteration: string;
  board: string;
  planSha256: string;
  trees: ApprovedTree[];
  patchset: string;
  commit: string;
}
export const exampleAbout: About = {
  iteration: 'iter5',
  board: 'fresnel',
  planSha256: sha256('plan'),
  trees: [
    { purpose: 'series', tree: objectId('tree') },
    { purpose: 'packaging', tree: objectId('packaging') },
    { purpose: 'prepared', tree: objectId('prepared') },
    { purpose: 'config', tree: objectId('config') },
  ],
  patchset: sha256('patchset'),
  commit: objectId('commit'),
};

/** Boltzmann's statement about a build. */
export const exampleBuild = (packages: Packages, about: About): ProvenanceStatement => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: subjectsOf(packages),
  predicateType: 'https://slsa.dev/provenance/v1',
  predicate: {
    buildDefinition: {
      buildType,
      externalParameters: {
        ...about,
        ...{ fleet, attempt: 1, repository: 'marfrit-packages', folder: 'arch/linux', version: '7.0-2' },
      },
    },
    runDetails: { builder: { id: hostUri({ fleet, host: 'boltzmann' }) } },
  },
});

/** Fresnel's statement about a sweep. */
export const exampleSweep = (packages: Packages): TestResultStatement => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: subjectsOf(packages),
  predicateType: 'https://in-toto.io/attestation/test-result/v0.1',
  predicate: { result: 'PASSED', configuration: [], passedTests: [], warnedTests: [], failedTests: [] },
});

/** An event that a writer of the example fleet signed. @param source the writer that the event names. */
export const signedBy = (writer: string, event: NewEvent, source = writer): SignedEvent => {
  const author = { fleet, name: source, key: testKey(writer) };
  const { bytes, signature } = sealEvent(event, author, undefined, '2026-05-11T08:00:00Z');
  return { writer, bytes: Buffer.from(bytes).toString('base64'), signature };
};

/** An approval by one of the example's people. */
export const exampleApproval = (
  { iteration, board, planSha256, trees }: About,
  by = 'architect',
): SignedEvent =>
  signedBy(personWriter(by), {
    type: 'ReviewApproved',
    iteration,
    attempt: 1,
    data: {
      by,
      note: 'read it',
      board,
      planSha256,
      trees,
      expires: '2099-01-01T00:00:00Z',
    },
  });

/** Everything that the publisher and the board check about packages. */
export const exampleProvenance = (packages: Packages, changes: Partial<About> = {}): Provenance => {
  const about = { ...exampleAbout, ...changes };
  const { iteration: _iteration, ...shown } = about;
  const attestation = attestedBy('boltzmann', exampleBuild(packages, about));
  return { ...shown, attestation, approvals: [exampleApproval(about)] };
};
