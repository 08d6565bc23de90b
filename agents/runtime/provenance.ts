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
import { type AgreedPlan, agreedPlan } from './agreed-plan.ts';
import { StepFailed } from './errors.ts';

type Packages = readonly Pick<PackageFile, 'file' | 'sha256'>[];

const buildersKeys = ({ writers }: Trust): string[] =>
  [...writers.values()].flatMap(({ role, keys }) => (role === 'builder' ? keys : []));

/** What a builder's attestation says of the build, or what is wrong with it. */
const readAttestation = (
  { attestation, ...reviewed }: Provenance,
  trust: Trust,
  iteration: string,
  packages: Packages,
): { built: BuildParameters } | { fault: string } => {
  let bytes: Uint8Array;
  try {
    bytes = openEnvelope(buildersKeys(trust), attestation);
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    return { fault: `is not signed by a builder that is pinned here: ${why}` };
  }
  const statement = readJson(ProvenanceStatement, bytes);
  if (statement === undefined) return { fault: 'is not SLSA provenance v1' };
  const { buildDefinition } = statement.predicate;
  const built = BuildParameters.safeParse(buildDefinition.externalParameters).data;
  if (buildDefinition.buildType !== buildType || built === undefined)
    return {
      fault: `is of a build of type ${buildDefinition.buildType}; expected ${buildType} and its parameters`,
    };

  const { commit, board, planSha256, trees, patchset } = reviewed;
  const expected = { fleet: trust.fleet, iteration, board, planSha256, patchset, commit };
  for (const key of Object.keys(expected) as (keyof typeof expected)[])
    if (built[key] !== expected[key])
      return { fault: `is about the ${key} ${built[key] ?? '(none)'}; expected ${expected[key]}` };
  if (!isDeepStrictEqual(built.trees, trees))
    return {
      fault: `is about the trees ${JSON.stringify(built.trees)}; expected ${JSON.stringify(trees)}`,
    };

  const list = (names: string[]) => names.toSorted().join(', ');
  const attested = list(statement.subject.map(({ name, digest }) => `${name} ${digest.sha256}`));
  const asked = list(packages.map(({ file, sha256 }) => `${file} ${sha256}`));
  return attested === asked ? { built } : { fault: `is about the packages ${attested}; expected ${asked}` };
};

/** The packages of a request, and what they are for. */
export interface Provided {
  packages: Packages;
  /** Their version, as the request has it. */
  version: string;
  /** This host's own name if it is a board: an approval for another board is none. */
  board?: string;
}

/**
 * Checks that a pinned builder has built these packages from what people have agreed to, by this host's own trust
 * file: the coordinator's word is not trusted. A request without provenance is refused whatever the iteration's
 * rules are, since a coordinator that was taken over could name older rules.
 * @returns the plan that they have agreed to, and the sha256 of the attestation's payload.
 * @throws {StepFailed} (work)
 */
export const requireProvenance = (
  provenance: Provenance | undefined,
  trust: Trust,
  iteration: string,
  { packages, version, board }: Provided,
): { attestation: string; plan: AgreedPlan } => {
  const refuse = (why: string) => new StepFailed('work', `${why}; nothing is done with these packages.`);
  const files = packages.map(({ file }) => file).join(', ');
  if (provenance === undefined)
    throw refuse(`The request for ${files} carries no attestation of their build and no approval`);
  const read = readAttestation(provenance, trust, iteration, packages);
  if ('fault' in read) throw refuse(`The attestation of ${files} ${read.fault}`);
  if (board !== undefined && provenance.board !== board)
    throw refuse(`${files} was reviewed and built for ${provenance.board}, and this is ${board}`);
  const { repository, folder } = read.built;
  const asked = { repository, folder, version, built: read.built.version };
  const agreed = agreedPlan(provenance, { trust, iteration }, asked, ({ package: planned }) => ({
    ...{ repository: planned.repository, folder: planned.folder, version: planned.to, built: planned.to },
  }));
  if ('fault' in agreed) throw refuse(`People have not agreed to ${files}: ${agreed.fault}`);
  return { attestation: attestationHash(provenance.attestation), plan: agreed.plan };
};
