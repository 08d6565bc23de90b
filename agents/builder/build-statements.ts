import {
  type BuildParameters,
  buildType,
  hostUri,
  type ProvenanceStatement,
  type ResourceDescriptor,
  type TestResultStatement,
} from '../../schemas/attestation.ts';
import type { BuilderConfig } from '../../schemas/config.ts';
import type { Fault, StepEvidence, StepRequest } from '../../schemas/steps.ts';

/** A requested build: the host and the request. */
export interface AskedBuild {
  host: Pick<BuilderConfig, 'fleet' | 'host' | 'makepkg'>;
  iteration: string;
  attempt: number;
  request: StepRequest<'build'>;
}

/** What is known about a finished build. Times are the builder's own, RFC 3339. */
export interface DoneBuild extends Pick<StepEvidence<'build'>, 'packages' | 'buildinfo' | 'confinement'> {
  startedOn: string;
  finishedOn: string;
  /** SOURCE_DATE_EPOCH, in seconds. */
  epochSeconds: number;
  /** sha256 of each: the first package's `.BUILDINFO`, the PKGBUILD, the patches and the kernel's config beside it. */
  files: { name: string; sha256: string }[];
  buildinfoSha256: string;
}

const invocationOf = ({ host, iteration, attempt }: AskedBuild): string =>
  `${hostUri(host)}:${iteration}.build.${attempt}`;

/** The packages of a `.BUILDINFO` that compile and link a kernel. */
const toolchain = /^(gcc|gcc-libs|binutils|clang|lld|llvm|rust|rust-bindgen|pahole|make|glibc)-\d/;

const parametersOf = ({ host, iteration, attempt, request }: AskedBuild): BuildParameters => {
  const { commit, package: asked, source, approved } = request;
  const { board, planSha256, trees } = approved;
  return {
    fleet: host.fleet,
    iteration,
    attempt,
    commit,
    repository: asked.repository,
    folder: asked.folder,
    version: asked.to,
    patchset: source.patchset,
    board,
    planSha256,
    trees,
  };
};

/** A builder's statement about packages that it has built. */
export const provenanceOf = (asked: AskedBuild, done: DoneBuild): ProvenanceStatement => {
  const { host, request } = asked;
  const { source } = request;
  const { buildinfo, files } = done;
  const baseline: ResourceDescriptor = {
    name: 'baseline',
    digest: { gitCommit: source.baseline.commit },
    annotations: { tag: source.baseline.tag },
  };
  const [tool = 'makepkg'] = buildinfo.buildtool ?? [];
  const [toolVersion] = buildinfo.buildtoolver ?? [];
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: done.packages.map(({ file, sha256 }) => ({ name: file, digest: { sha256 } })),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType,
        externalParameters: parametersOf(asked),
        internalParameters: {
          carch: host.makepkg.carch,
          sourceDateEpoch: host.makepkg.environment.SOURCE_DATE_EPOCH ?? String(done.epochSeconds),
          // Only the names: a value may be secret.
          environment: Object.keys(host.makepkg.environment).sort(),
          buildenv: buildinfo.buildenv ?? [],
          options: buildinfo.options ?? [],
          confinement: done.confinement,
          toolchain: (buildinfo.installed ?? []).filter((installed) => toolchain.test(installed)),
        },
        resolvedDependencies: [
          baseline,
          { name: request.package.repository, digest: { gitCommit: request.commit } },
          ...files.map(({ name, sha256 }) => ({
            name: `${request.package.folder}/${name}`,
            digest: { sha256 },
          })),
        ],
      },
      runDetails: {
        builder: {
          id: hostUri(host),
          ...(toolVersion === undefined ? {} : { version: { [tool]: toolVersion } }),
        },
        metadata: {
          invocationId: invocationOf(asked),
          startedOn: done.startedOn,
          finishedOn: done.finishedOn,
        },
        byproducts: [{ name: '.BUILDINFO', digest: { sha256: done.buildinfoSha256 } }],
      },
    },
  };
};

/** A builder's statement about a failed build: a test that the landed commit did not pass, and no provenance. */
export const failedBuildOf = (asked: AskedBuild, fault: Fault): TestResultStatement => {
  const { commit, package: built, approved } = asked.request;
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: built.repository, digest: { gitCommit: commit } }],
    predicateType: 'https://in-toto.io/attestation/test-result/v0.1',
    predicate: {
      result: 'FAILED',
      configuration: [
        { name: 'build', uri: invocationOf(asked), annotations: { ...parametersOf(asked), fault } },
        { name: 'plan', digest: { sha256: approved.planSha256 } },
      ],
      passedTests: [],
      warnedTests: [],
      failedTests: [`build of ${built.base} ${built.to}`],
    },
  };
};
