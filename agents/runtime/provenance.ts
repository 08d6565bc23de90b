import { readJson } from '../../eventlog/files/read-json.ts';
import { checkSignedEvent } from '../../eventlog/signing/check-event.ts';
import { openEnvelope } from '../../eventlog/signing/envelope.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import {
  attestationHash,
  BuildParameters,
  buildType,
  type Provenance,
  ProvenanceStatement,
} from '../../schemas/attestation.ts';
import { personWriter } from '../../schemas/events.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import type { PackageFile } from '../../schemas/steps.ts';
import { StepFailed } from './errors.ts';

type Packages = readonly Pick<PackageFile, 'file' | 'sha256'>[];

const buildersKeys = ({ writers }: Trust): string[] =>
  [...writers.values()].flatMap(({ role, keys }) => (role === 'builder' ? keys : []));

/** What is wrong with a builder's attestation, if anything. */
const attestationFault = (
  { attestation, ...reviewed }: Provenance,
  trust: Trust,
  iteration: string,
  packages: Packages,
): string | undefined => {
  let bytes: Uint8Array;
  try {
    bytes = openEnvelope(buildersKeys(trust), attestation);
  } catch (error) {
    return `is not signed by a builder that is pinned here: ${error instanceof Error ? error.message : error}`;
  }
  const statement = readJson(ProvenanceStatement, bytes);
  if (statement === undefined) return 'is not SLSA provenance v1';
  const { buildDefinition } = statement.predicate;
  const parameters = BuildParameters.safeParse(buildDefinition.externalParameters).data;
  if (buildDefinition.buildType !== buildType || parameters === undefined)
    return `is of a build of type ${buildDefinition.buildType}; expected ${buildType} and its parameters`;

  const { commit, planSha256, tree, patchset } = reviewed;
  const expected = { fleet: trust.fleet, iteration, planSha256, tree, patchset, commit };
  for (const key of Object.keys(expected) as (keyof typeof expected)[])
    if (parameters[key] !== expected[key])
      return `is about the ${key} ${parameters[key] ?? '(none)'}; expected ${expected[key]}`;

  const list = (names: string[]) => names.toSorted().join(', ');
  const attested = list(statement.subject.map(({ name, digest }) => `${name} ${digest.sha256}`));
  const asked = list(packages.map(({ file, sha256 }) => `${file} ${sha256}`));
  return attested === asked ? undefined : `is about the packages ${attested}; expected ${asked}`;
};

/**
 * What is wrong with an approval, if anything. The coordinator judges whether it had expired: no host's clock decides
 * that.
 */
const approvalFault = (
  approval: SignedEvent,
  trust: Trust,
  { iteration, planSha256, tree }: { iteration: string; planSha256: string; tree: string },
): string | undefined => {
  const { writer } = approval;
  const checked = checkSignedEvent(trust, approval);
  if ('refused' in checked) return checked.refused.why;
  const { event } = checked.logged;
  if (event.kind !== 'iteration' || event.type !== 'ReviewApproved')
    return `it is ${writer}'s ${event.type}; expected ReviewApproved`;
  if (event.source !== personWriter(event.data.by))
    return `${event.source} writes it for ${event.data.by}; nobody may approve for others`;
  const approved = event.data.trees.find(({ purpose }) => purpose === 'series');
  const found = {
    iteration: event.iteration,
    planSha256: event.data.planSha256,
    tree: approved?.tree ?? '(none)',
  };
  const expected = { iteration, planSha256, tree };
  for (const key of Object.keys(expected) as (keyof typeof expected)[])
    if (found[key] !== expected[key])
      return `${writer} has approved the ${key} ${found[key]}; expected ${expected[key]}`;
  return undefined;
};

/**
 * Checks that a pinned builder has built these packages from what people have approved, by this host's own copy of the
 * fleet's file: the coordinator's word is not trusted. A request without provenance is refused whatever the iteration's
 * rules are, since a coordinator that was taken over could name older rules.
 *
 * What a host can't see is left to the coordinator and to those who audit it: which people the plan asks for, who
 * started the iteration and so may not be its only approver, and whether an approval had expired when it was used.
 * @returns the sha256 of the attestation's payload.
 * @throws {StepFailed} (work)
 */
export const requireProvenance = (
  provenance: Provenance | undefined,
  trust: Trust,
  iteration: string,
  packages: Packages,
): string => {
  const refuse = (why: string) => new StepFailed('work', `${why}; nothing is done with these packages.`);
  const files = packages.map(({ file }) => file).join(', ');
  if (provenance === undefined)
    throw refuse(`The request for ${files} carries no attestation of their build and no approval`);
  const fault = attestationFault(provenance, trust, iteration, packages);
  if (fault !== undefined) throw refuse(`The attestation of ${files} ${fault}`);
  const { approvals, planSha256, tree } = provenance;
  if (approvals.length === 0) throw refuse(`Nobody has approved the tree ${tree} of ${files}`);
  for (const approval of approvals) {
    const fault = approvalFault(approval, trust, { iteration, planSha256, tree });
    if (fault !== undefined) throw refuse(`An approval of ${files} does not count: ${fault}`);
  }
  return attestationHash(provenance.attestation);
};
