import type { Provenance } from '../../schemas/attestation.ts';
import { installedBefore, type ReadPlan } from '../../schemas/plan.ts';
import type { EndReason } from '../../schemas/reasons.ts';
import type { StepName } from '../../schemas/step-names.ts';
import type { PackageFile, StepEvidence, StepRequest } from '../../schemas/steps.ts';
import { isSweepAsExpected } from './checks/checks.ts';
import { approvedIn } from './graph.ts';
import { evidenceOf, expectedRelease, type Iteration } from './state.ts';

const need = <Name extends StepName>(iteration: Iteration, step: Name): StepEvidence<Name> => {
  const found = evidenceOf(iteration, step);
  if (!found) throw new Error(`${iteration.name}: there is no evidence of ${step} yet`); // the graph forbids it
  return found.evidence;
};

const packageAt = ({ plan }: Iteration) => plan.package;
const seriesOf = ({ plan, series }: Iteration) => ({ scope: plan.series.scope, patches: series });

const releaseOf = (iteration: Iteration): string => {
  const release = expectedRelease(iteration);
  if (release === undefined)
    throw new Error(`${iteration.name}: its kernel release is neither planned nor predicted`);
  return release;
};

const kernelOf = (iteration: Iteration) => ({
  names: iteration.plan.package.names,
  version: iteration.plan.package.to,
  release: releaseOf(iteration),
});

/** The paths that a row's expectations name; nothing if they name all of the sweep's paths. */
const comparedPaths = ({ paths }: ReadPlan['sweep'], { expect }: ReadPlan['sweep']['rows'][number]) => {
  const compared = paths
    .map(({ name }) => name)
    .filter((name) => expect.some((each) => each.split(' ').includes(name)));
  return compared.length === paths.length ? {} : { paths: compared };
};

const sweepOf = ({ plan }: Iteration, version: string) => ({
  version,
  paths: plan.sweep.paths,
  rows: plan.sweep.rows.map((row) => ({
    name: row.name,
    ...(row.fixture === undefined ? {} : { fixture: row.fixture }),
    ...comparedPaths(plan.sweep, row),
  })),
  repeats: plan.sweep.repeats,
});

/** The commit that land made in the package's repository. */
const landedCommit = (iteration: Iteration): string => {
  const { repository } = iteration.plan.package;
  const landed = need(iteration, 'land').commits.find((commit) => commit.repository === repository);
  if (!landed) throw new Error(`${iteration.name}: land committed nothing to ${repository}`);
  return landed.commit;
};

/** The reviewed source, which a build attests and hosts check. */
const sourceOf = (iteration: Iteration): Pick<StepRequest<'build'>, 'source'> => {
  const { baseline, patchset, prepared } = need(iteration, 'preflight');
  const { epochSeconds } = prepared;
  return { source: { baseline, patchset, epochSeconds, patches: iteration.series.map(({ file }) => file) } };
};

/**
 * Who built the packages from what, and who approved that. Nothing if the build is not attested, even if that clause
 * was waived: hosts then refuse the packages.
 */
const provenanceOf = (iteration: Iteration): { provenance?: Provenance } => {
  const { attestation, commit } = need(iteration, 'build');
  if (!attestation) return {};
  const { patchset } = need(iteration, 'preflight');
  return { provenance: { ...approvedIn(iteration), attestation, patchset, commit } };
};

/** The packages as they were published, without their signatures. */
const publishedPackages = (iteration: Iteration): PackageFile[] =>
  need(iteration, 'publish').packages.map(({ name, file, sizeBytes, sha256 }) => ({
    name,
    file,
    sizeBytes,
    sha256,
  }));

/** The data of each step's request: facts of the plan, and evidence of the steps before it. */
const requests: {
  readonly [Name in StepName]: (iteration: Iteration, reason: EndReason | undefined) => StepRequest<Name>;
} = {
  preflight: (iteration) => ({
    baseline: iteration.plan.baseline,
    series: seriesOf(iteration),
    symbols: iteration.plan.symbols,
    manifest: iteration.plan.manifest,
    package: packageAt(iteration),
    ...(iteration.since ? { since: iteration.since.commit } : {}),
  }),
  keycheck: ({ fleet }) => ({ fingerprint: fleet.signingKey }),
  land: (iteration) => ({
    title: iteration.plan.title,
    series: seriesOf(iteration),
    patchset: need(iteration, 'preflight').patchset,
    manifest: iteration.plan.manifest,
    package: packageAt(iteration),
    approved: approvedIn(iteration),
  }),
  build: (iteration) => ({
    commit: landedCommit(iteration),
    package: packageAt(iteration),
    approved: approvedIn(iteration),
    ...sourceOf(iteration),
  }),
  publish: (iteration) => {
    const built = evidenceOf(iteration, 'build');
    if (!built) throw new Error(`${iteration.name}: nothing is built yet`);
    return {
      builder: built.host,
      folder: `${iteration.name}.${built.attempt}`,
      packages: built.evidence.packages,
      version: iteration.plan.package.to,
      ...provenanceOf(iteration),
    };
  },
  presweep: (iteration) => sweepOf(iteration, installedBefore(iteration.plan)),
  backup: ({ plan }) => ({
    host: plan.hosts.backup,
    names: plan.package.names,
    version: installedBefore(plan),
  }),
  stage: (iteration) => {
    const { packages, fingerprint, view } = need(iteration, 'publish');
    const lan = { host: iteration.plan.hosts.publisher, ...(view === undefined ? {} : { view }) };
    return { packages, fingerprint, lan };
  },
  install: (iteration) => {
    const { to } = iteration.plan.package;
    const release = releaseOf(iteration);
    const from = installedBefore(iteration.plan);
    const { packages, fingerprint } = need(iteration, 'publish');
    const backup = need(iteration, 'backup');
    return { packages, fingerprint, from, to, release, backup, ...provenanceOf(iteration) };
  },
  reboot: (iteration) => {
    const { attestation } = need(iteration, 'install');
    return {
      ...kernelOf(iteration),
      backup: need(iteration, 'backup'),
      ...(attestation === undefined ? {} : { attestation }),
    };
  },
  sweep: (iteration) => ({
    ...sweepOf(iteration, iteration.plan.package.to),
    packages: publishedPackages(iteration),
  }),
  confirm: kernelOf,
  rollback: (iteration, reason) => ({
    reason: reason ?? { code: 'unproved', clauses: [] },
    from: iteration.plan.package.to,
    backup: need(iteration, 'backup'),
  }),
  record: (iteration) => {
    const { repository, branch, document, scoreboard, notes } = iteration.plan.close;
    // The text is rendered when the event is sealed: `daemon/with-words.ts`.
    const rendered = (as: string) => ({ as, facts: iteration.digest, text: '' });
    return {
      repository,
      branch,
      title: iteration.plan.title,
      files: [
        { path: document, content: rendered('close-document') },
        ...notes.flatMap((note) =>
          note.kind === 'write' ? [{ path: note.file, content: rendered('note') }] : [],
        ),
      ],
      // Only a sweep that is as expected changes the scoreboard, not one that was waived.
      replacements: isSweepAsExpected(iteration)
        ? [{ path: scoreboard.file, before: scoreboard.before, after: scoreboard.after }]
        : [],
    };
  },
};

/** The data of a step's request. @param reason why a rollback is asked for. */
export const requestFor = <Name extends StepName>(
  iteration: Iteration,
  step: Name,
  reason?: EndReason,
): StepRequest<Name> => requests[step](iteration, reason) as StepRequest<Name>;
