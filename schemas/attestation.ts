import { z } from 'zod';
import { sha256 } from './hash.ts';
import {
  FileName,
  FleetName,
  HostName,
  IterationName,
  ObjectId,
  PackageVersion,
  PublicKey,
  Sha256,
} from './names.ts';
import { Approved, Reviewed } from './reviewed.ts';

/**
 * A signed message: DSSE, https://github.com/secure-systems-lab/dsse/blob/v1.0.2/envelope.md. The format allows several
 * signatures; here it is one, and `keyid` is the signer's public key.
 */
export const DsseEnvelope = z.object({
  payloadType: z.string(),
  payload: z.base64(),
  signatures: z.array(z.object({ keyid: PublicKey, sig: z.base64() })).length(1),
});
export type DsseEnvelope = z.infer<typeof DsseEnvelope>;

/** One that holds an in-toto statement, where a request carries it: nothing in it is free text. */
export const InTotoEnvelope = DsseEnvelope.extend({
  payloadType: z.string().regex(/^application\/vnd\.in-toto\+json$/, { error: 'must be in-toto’s' }),
});

/** Algorithm → hexadecimal. https://github.com/in-toto/attestation/blob/main/spec/v1/digest_set.md */
const DigestSet = z
  .record(z.string().min(1), z.string().regex(/^[0-9a-f]+$/))
  .refine((digests) => Object.keys(digests).length > 0, { error: 'must hold a digest' });

/** https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md */
const ResourceDescriptor = z
  .object({
    name: z.string().optional(),
    uri: z.string().optional(),
    digest: DigestSet.optional(),
    content: z.base64().optional(),
    downloadLocation: z.string().optional(),
    mediaType: z.string().optional(),
    annotations: z.record(z.string(), z.unknown()).optional(),
  })
  .refine(({ uri, digest, content }) => (uri ?? digest ?? content) !== undefined, {
    error: 'must have a uri, a digest or a content',
  });
export type ResourceDescriptor = z.infer<typeof ResourceDescriptor>;

const Subject = z.object({ name: z.string().min(1), digest: DigestSet });

/** in-toto Statement v1. https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md */
const statementOf = <Type extends string, Predicate extends z.ZodType>(
  predicateType: Type,
  predicate: Predicate,
) =>
  z.object({
    _type: z.literal('https://in-toto.io/Statement/v1'),
    subject: z.array(Subject).min(1),
    predicateType: z.literal(predicateType),
    predicate,
  });

/** SLSA provenance v1. https://slsa.dev/spec/v1.0/provenance */
export const ProvenanceStatement = statementOf(
  'https://slsa.dev/provenance/v1',
  z.object({
    buildDefinition: z.object({
      buildType: z.string(),
      externalParameters: z.record(z.string(), z.unknown()),
      internalParameters: z.record(z.string(), z.unknown()).optional(),
      resolvedDependencies: z.array(ResourceDescriptor).optional(),
    }),
    runDetails: z.object({
      builder: z.object({ id: z.string(), version: z.record(z.string(), z.string()).optional() }),
      metadata: z
        .object({
          invocationId: z.string().optional(),
          startedOn: z.iso.datetime().optional(),
          finishedOn: z.iso.datetime().optional(),
        })
        .optional(),
      byproducts: z.array(ResourceDescriptor).optional(),
    }),
  }),
);
export type ProvenanceStatement = z.infer<typeof ProvenanceStatement>;

/** in-toto test result v0.1. https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md */
export const TestResultStatement = statementOf(
  'https://in-toto.io/attestation/test-result/v0.1',
  z.object({
    result: z.enum(['PASSED', 'WARNED', 'FAILED']),
    configuration: z.array(ResourceDescriptor),
    url: z.string().optional(),
    passedTests: z.array(z.string()).optional(),
    warnedTests: z.array(z.string()).optional(),
    failedTests: z.array(z.string()).optional(),
  }),
);
export type TestResultStatement = z.infer<typeof TestResultStatement>;

/**
 * A board's statement that it has made a backup. Its subject is the archive and the packages in it; `files` is the sha256
 * of the list of its other files, as sha256sum(1) prints one.
 */
export const BackupStatement = statementOf(
  'urn:kernel-agent:predicate:backup:v1',
  z.object({
    fleet: FleetName,
    board: HostName,
    iteration: IterationName,
    /** The backup host, and the folder there. */
    host: HostName,
    place: z.string(),
    version: PackageVersion,
    release: z.string(),
    files: Sha256,
  }),
);
export type BackupStatement = z.infer<typeof BackupStatement>;

/** The statements that a host of the fleet attests. */
export type Statement = ProvenanceStatement | TestResultStatement | BackupStatement;

/** How a builder builds: a package of one commit, with makepkg. */
export const buildType = 'urn:kernel-agent:build-type:makepkg:v1';

/** `externalParameters` of {@link buildType}: all that the build was asked for. */
export const BuildParameters = z.object({
  fleet: FleetName,
  iteration: IterationName,
  attempt: z.int().min(1),
  /** The landed commit, and the folder of the package in its repository. */
  commit: ObjectId,
  repository: z.string(),
  folder: z.string(),
  version: PackageVersion,
  /** KernelCI's identity of the patch stack. */
  patchset: Sha256,
  ...Reviewed.shape,
});
export type BuildParameters = z.infer<typeof BuildParameters>;

/** What publisher and board require before they accept a package: who built it from what, and who approved that. */
export const Provenance = Approved.extend({
  attestation: DsseEnvelope,
  commit: ObjectId,
  patchset: Sha256,
});
export type Provenance = z.infer<typeof Provenance>;

/**
 * What the repository holds beside a package, under the package file's name and {@link proofSuffix}: with it, and with its
 * own copy of the fleet's file, anybody can check who built the package from what, and who approved that.
 */
export const PackageProof = z.object({
  iteration: IterationName,
  /** All packages of the build: the attestation is about them together. */
  packages: z.array(z.object({ file: FileName, sha256: Sha256 })).min(1),
  provenance: Provenance,
});
export type PackageProof = z.infer<typeof PackageProof>;
export const proofSuffix = '.provenance.json';
/** Nobody reads a longer one. */
export const proofAtMostBytes = 4 * 1024 * 1024;

/** The hash by which an attestation is referred to: the sha256 of its payload's bytes. */
export const attestationHash = ({ payload }: DsseEnvelope): string => sha256(Buffer.from(payload, 'base64'));

/** The name of a host outside its own fleet. */
export const hostUri = ({
  fleet,
  host,
}: {
  fleet: z.infer<typeof FleetName>;
  host: z.infer<typeof HostName>;
}) => `urn:kernel-agent:${fleet}:${host}`;
