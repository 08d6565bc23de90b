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
import { type Patch, type Plan, planHash } from '../../schemas/plan.ts';
import type { Approved, ApprovedTree } from '../../schemas/reviewed.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import type { PackageFile } from '../../schemas/steps.ts';
import { examplePlan } from './example-plan.ts';
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
  version: string;
}
export const exampleAbout: About = {
  iteration: 'iter5',
  board: 'fresnel',
  planSha256: sha256('plan'),
  version: '7.0-2',
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
        ...{ fleet, attempt: 1, repository: 'packages', folder: 'arch/linux-fourier' },
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
  { iteration, board, planSha256, trees }: Pick<About, 'iteration' | 'board' | 'planSha256' | 'trees'>,
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

export interface Agreeing {
  iteration?: string;
  board?: string;
  trees?: ApprovedTree[];
  /** Who has started it, and who has approved it. */
  by?: string;
  approvers?: readonly string[];
  series?: readonly Patch[];
  change?: (plan: Plan) => void;
}

/** What people of the example fleet have agreed to: the example's plan, which one of them started. */
export const exampleAgreed = ({
  iteration = exampleAbout.iteration,
  board = exampleAbout.board,
  trees = exampleAbout.trees,
  by = 'mfritsche',
  approvers = ['architect'],
  series = examplePlan().series,
  change = () => undefined,
}: Agreeing = {}): Approved => {
  const { plan, planText } = examplePlan((example) => {
    Object.assign(example, { iteration, board });
    example.review.approvals = ['architect'];
    change(example);
  });
  const planSha256 = planHash(planText, series);
  const reviewed = { board: plan.board, planSha256, trees };
  const data = { plan, planText, planSha256, series: [...series], by };
  const start = signedBy(personWriter(by), { type: 'IterationStarted', iteration, attempt: 1, data });
  const approvals = approvers.map((name) => exampleApproval({ ...reviewed, iteration }, name));
  return { ...reviewed, planText, patches: series.map((patch) => patch.sha256), start, approvals };
};

/** Everything that the publisher and the board check about packages. */
export const exampleProvenance = (
  packages: Packages,
  { version = exampleAbout.version, ...agreeing }: Agreeing & { version?: string } = {},
): Provenance => {
  const { iteration = exampleAbout.iteration, change = () => undefined } = agreeing;
  const approved = exampleAgreed({
    ...agreeing,
    change: (plan) => {
      plan.package.to = version;
      change(plan);
    },
  });
  const { board, planSha256, trees } = approved;
  const about = { ...exampleAbout, iteration, board, planSha256, trees, version };
  const { commit, patchset } = about;
  const attestation = attestedBy('boltzmann', exampleBuild(packages, about));
  return { ...approved, commit, patchset, attestation };
};
