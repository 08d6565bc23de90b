import { isDeepStrictEqual } from 'node:util';
import { readJson } from '../../eventlog/files/read-json.ts';
import { openEnvelope } from '../../eventlog/signing/envelope.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import {
  attestationHash,
  BuildParameters,
  buildType,
  type Provenance,
  ProvenanceStatement,
} from '../../schemas/attestation.ts';
import type { PackageFile } from '../../schemas/steps.ts';
import { approversOf } from './approvals.ts';
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

  const { commit, board, planSha256, trees, patchset } = reviewed;
  const expected = { fleet: trust.fleet, iteration, board, planSha256, patchset, commit };
  for (const key of Object.keys(expected) as (keyof typeof expected)[])
    if (parameters[key] !== expected[key])
      return `is about the ${key} ${parameters[key] ?? '(none)'}; expected ${expected[key]}`;
  if (!isDeepStrictEqual(parameters.trees, trees))
    return `is about the trees ${JSON.stringify(parameters.trees)}; expected ${JSON.stringify(trees)}`;

  const list = (names: string[]) => names.toSorted().join(', ');
  const attested = list(statement.subject.map(({ name, digest }) => `${name} ${digest.sha256}`));
  const asked = list(packages.map(({ file, sha256 }) => `${file} ${sha256}`));
  return attested === asked ? undefined : `is about the packages ${attested}; expected ${asked}`;
};

/**
 * Checks that a pinned builder has built these packages from what people have approved, by this host's own copy of the
 * fleet's file: the coordinator's word is not trusted. A request without provenance is refused whatever the iteration's
 * rules are, since a coordinator that was taken over could name older rules.
 *
 * What is not seen here, `land` has seen before: which people the plan asks for, and who started the iteration and so
 * may not be its only approver.
 * @param board this host's own name if it is a board: an approval for another board is none.
 * @returns the sha256 of the attestation's payload.
 * @throws {StepFailed} (work)
 */
export const requireProvenance = (
  provenance: Provenance | undefined,
  trust: Trust,
  iteration: string,
  packages: Packages,
  board?: string,
): string => {
  const refuse = (why: string) => new StepFailed('work', `${why}; nothing is done with these packages.`);
  const files = packages.map(({ file }) => file).join(', ');
  if (provenance === undefined)
    throw refuse(`The request for ${files} carries no attestation of their build and no approval`);
  const fault = attestationFault(provenance, trust, iteration, packages);
  if (fault !== undefined) throw refuse(`The attestation of ${files} ${fault}`);
  if (board !== undefined && provenance.board !== board)
    throw refuse(`${files} was reviewed and built for ${provenance.board}, and this is ${board}`);
  const approvers = approversOf(provenance, trust, iteration);
  if ('fault' in approvers) throw refuse(`${approvers.fault}: ${files}`);
  return attestationHash(provenance.attestation);
};
