import { z } from 'zod';
import { sha256 } from '../../schemas/hash.ts';
import { steps } from '../../schemas/steps.ts';
import { type Attempt, evidenceOf, type Iteration, lastAttempt } from '../decider/state.ts';
import { answerCheck } from '../decider/verdicts.ts';
import { faultsWords } from '../reading/english/check-faults.ts';
import { supersededWords } from '../reading/english/reasons.ts';
import { printable } from './printable.ts';
import { type SweepTest, startOf, sweepResults } from './sweep-results.ts';

type Status = SweepTest['verdict'];

interface Checkout {
  id: string;
  origin: string;
  git_commit_hash: string;
  patchset_hash: string;
  comment: string;
  start_time?: string;
  valid?: boolean;
  log_excerpt?: string;
  misc: Record<string, unknown>;
}

interface Build {
  id: string;
  origin: string;
  checkout_id: string;
  start_time?: string;
  duration?: number;
  architecture?: string;
  compiler?: string;
  status?: Status;
  comment?: string;
  log_excerpt?: string;
  misc: Record<string, unknown>;
}

interface Test {
  id: string;
  origin: string;
  build_id: string;
  path: string;
  status: Status;
  comment?: string;
  start_time?: string;
  duration?: number;
  environment: { comment: string };
  misc?: Record<string, unknown>;
}

/** A report in KCIDB's I/O schema v5.3. Unknown values are left out, as the schema requires. */
export interface KcidbReport {
  version: { major: 5; minor: 3 };
  checkouts: Checkout[];
  builds: Build[];
  tests: Test[];
}

/** The schema's limit, in characters. The end of an output is kept, since it shows what went wrong. */
const excerptLength = 16384;
const excerptOf = (output: readonly string[]): { log_excerpt?: string } =>
  output.length === 0 ? {} : { log_excerpt: output.map(printable).join('\n').slice(-excerptLength) };

/** What a failed preflight has seen of the patches. */
const PatchesSeen = z.object({ patches: steps.preflight.evidence.shape.patches });

/** Whether the patches could be applied; undefined if no preflight has tried. */
const applied = (preflight: Attempt<'preflight'> | undefined): boolean | undefined => {
  const seen =
    preflight?.status === 'succeeded'
      ? preflight.evidence
      : preflight?.status === 'failed'
        ? PatchesSeen.safeParse(preflight.failure.seen).data
        : undefined;
  return seen?.patches.every(({ status }) => status !== 'conflict');
};

/** When an attempt began and what it printed, as far as the log shows it. */
const told = (attempt: Attempt | undefined): { start_time?: string; log_excerpt?: string } => {
  switch (attempt?.status) {
    case undefined:
    case 'open':
    case 'superseded':
      return {};
    case 'succeeded':
      return { start_time: startOf({ time: attempt.ended.time, seconds: attempt.seconds }) };
    case 'failed':
      return excerptOf(attempt.failure.output);
  }
};

const checkoutOf = (iteration: Iteration, origin: string): Checkout => {
  const { plan, series, name, planSha256 } = iteration;
  const preflight = lastAttempt(iteration, 'preflight');
  const valid = applied(preflight);
  return {
    id: `${origin}:${name}`,
    origin,
    git_commit_hash: plan.baseline.commit,
    patchset_hash: sha256(series.map((patch) => `${patch.sha256}\n`).join('')),
    comment: printable(plan.title),
    ...(valid === undefined ? {} : { valid }),
    ...told(preflight),
    misc: {
      iteration: name,
      plan_sha256: planSha256,
      repository: plan.baseline.repository,
      tag: plan.baseline.tag,
      patches: series.map(({ file, sha256: hash }) => ({ file, sha256: hash })),
      ...(preflight?.status === 'succeeded' ? { tree: preflight.evidence.tree } : {}),
    },
  };
};

/**
 * The compiler that the running kernel names in `/proc/version`. It is the build's compiler only if the build is what
 * runs.
 */
const compilerOf = (iteration: Iteration): { compiler?: string } => {
  const { verdict } = answerCheck({ check: 'kernel-running' }, iteration);
  const banner = evidenceOf(iteration, 'reboot')?.evidence.after.procVersion ?? '';
  const compiler = /^Linux version \S+ \([^)]*\) \(([^\n]+), (?:GNU ld|LLD)/.exec(banner)?.[1];
  return verdict === 'PASS' && compiler !== undefined ? { compiler: printable(compiler) } : {};
};

const buildOf = (iteration: Iteration, origin: string, attempt: Attempt<'build'>): Build => {
  const build = {
    id: `${origin}:${iteration.name}/build.${attempt.number}`,
    origin,
    checkout_id: `${origin}:${iteration.name}`,
    ...told(attempt),
  };
  const misc = { host: attempt.host, attempt: attempt.number };
  switch (attempt.status) {
    case 'open':
      return { ...build, misc };
    case 'superseded':
      return { ...build, status: 'MISS', comment: printable(supersededWords(attempt.reason)), misc };
    case 'failed': {
      const { fault, reason } = attempt.failure;
      return { ...build, status: fault === 'work' ? 'FAIL' : 'ERROR', comment: printable(reason), misc };
    }
    case 'succeeded': {
      const { buildinfo, packages, commit, seconds } = attempt.evidence;
      const architecture = buildinfo.pkgarch?.[0] ?? '';
      const isLast = attempt === lastAttempt(iteration, 'build');
      const answer = isLast ? answerCheck({ check: 'packages-built' }, iteration) : undefined;
      return {
        ...build,
        duration: seconds,
        ...(/^[a-z0-9_]+$/.test(architecture) ? { architecture } : {}),
        ...(isLast ? compilerOf(iteration) : {}),
        status: answer?.verdict ?? 'PASS',
        ...(answer && answer.verdict !== 'PASS' ? { comment: printable(faultsWords(answer.faults)) } : {}),
        misc: {
          ...misc,
          package_commit: commit,
          packages: packages.map(({ file, sizeBytes, sha256: hash }) => ({ file, sizeBytes, sha256: hash })),
        },
      };
    }
  }
};

/**
 * A name as one level of a test's path: `libva != software` becomes `libva_ne_software`, and a dot does not begin a
 * level.
 */
const levelOf = (name: string): string =>
  name
    .replace(' = ', '_eq_')
    .replace(' != ', '_ne_')
    .replaceAll(/[^A-Za-z0-9_-]/g, '_');

/** The sweep of a build, as a test of its own and one for each row, path and comparison. */
const testsOf = (iteration: Iteration, origin: string, buildId: string): Test[] => {
  const { whole, attempt, swept, startTime, seconds } = sweepResults(iteration, 'sweep');
  const environment = { comment: attempt?.host ?? iteration.plan.board };
  const number = attempt?.number ?? 0;
  const each = (test: SweepTest, above: readonly string[]): Test[] => {
    const { name, verdict, because, note, cell, tests } = test;
    const names = [...above, name];
    const { sha256: hash = null, device = null, frames = null, hashes } = cell ?? {};
    const misc = {
      ...(note === undefined ? {} : { note: printable(note) }),
      ...(hashes === undefined ? {} : { hashes }),
      ...(hash === null ? {} : { sha256: hash }),
      ...(device === null ? {} : { device: printable(device) }),
      ...(frames === null ? {} : { frames }),
    };
    const one: Test = {
      id: `${origin}:${[iteration.name, `sweep.${number}`, ...names.slice(1)].map(printable).join('/')}`,
      origin,
      build_id: buildId,
      path: names.map(levelOf).join('.'),
      status: verdict,
      ...(because === '' ? {} : { comment: printable(because) }),
      environment,
      ...(Object.keys(misc).length === 0 ? {} : { misc }),
    };
    return [one, ...tests.flatMap((below) => each(below, names))];
  };
  const [top, ...below] = each(whole, []);
  if (!top) return below;
  return [
    {
      ...top,
      ...(startTime === undefined ? {} : { start_time: startTime }),
      ...(seconds === undefined ? {} : { duration: seconds }),
      ...(swept
        ? { misc: { package: swept.version, release: swept.release, fixtures: swept.fixtures } }
        : {}),
    },
    ...below,
  ];
};

/**
 * An iteration in KCIDB's I/O schema v5.3: its checkout, every attempt to build it, and the sweep of the last build if
 * that succeeded. A presweep is left out: it tests a build that this iteration has not made. Source: kernelci/kcidb-io,
 * kcidb_io/schema/v05_03.py
 * @param fleet the fleet's name; the report's origin is `kernel_agent_<fleet>`.
 */
export const kcidbOf = (iteration: Iteration, fleet: string): KcidbReport => {
  const origin = `kernel_agent_${fleet.replaceAll('-', '_')}`;
  const built = lastAttempt(iteration, 'build');
  const builds = iteration.attempts.build.map((attempt) => buildOf(iteration, origin, attempt));
  const last = builds.at(-1);
  return {
    version: { major: 5, minor: 3 },
    checkouts: [checkoutOf(iteration, origin)],
    builds,
    tests: built?.status === 'succeeded' && last ? testsOf(iteration, origin, last.id) : [],
  };
};
