import { attestationHash } from '../../eventlog/signing/envelope.ts';
import { type Check, checkedStep } from '../../schemas/checks.ts';
import type { Verdict } from '../../schemas/events.ts';
import { installedBefore } from '../../schemas/plan.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { howItFellBack } from '../reading/fell-back.ts';
import { reviewOf } from './graph.ts';
import { evidenceOf, type Iteration } from './state.ts';
import { judgeSweep } from './sweep-judgement.ts';

/** A check's answer. `events` are the log's sequences that it rests on. */
export interface Answer {
  verdict: Verdict;
  because: string;
  events: number[];
}

const same = (found: unknown, expected: unknown): boolean =>
  JSON.stringify(found) === JSON.stringify(expected);
const missing = (wanted: readonly string[], found: readonly string[]): string[] =>
  wanted.filter((one) => !found.includes(one));

/** What a step has to link to: the build's attestation, from the rules 3 on. */
const linkFault = (iteration: Iteration, linked: string | undefined): string | false => {
  if (iteration.rules < 3) return false;
  const attestation = evidenceOf(iteration, 'build')?.evidence.attestation;
  const expected = attestation && attestationHash(attestation);
  return (
    (linked === undefined || linked !== expected) &&
    `it rests on the attestation ${linked ?? '(none)'}, the build's is ${expected ?? '(none)'}`
  );
};

/** Sentences about what does not hold; none means that it does. */
type Faults = (string | false | undefined)[];

const ofPreflight = (
  check: Extract<Check, { check: 'patch-applies' | 'symbols-found' | 'release-predicted' }>,
  { plan }: Iteration,
  evidence: NonNullable<ReturnType<typeof evidenceOf<'preflight'>>>['evidence'],
): Faults => {
  switch (check.check) {
    case 'patch-applies': {
      const patch = evidence.patches.find(({ file }) => file === check.patch);
      if (!patch) return [`${check.patch} was not tried`];
      const adds = Object.fromEntries(patch.files.map(({ path, added }) => [path, added]));
      return [
        patch.status === 'conflict' && `${check.patch} conflicts`,
        patch.status === 'already-there' && `${check.patch} is in the baseline already`,
        check.author !== undefined && patch.author !== check.author && `its author is ${patch.author}`,
        ...Object.entries(check.adds ?? {}).map(
          ([path, added]) =>
            adds[path] !== added && `it adds ${adds[path] ?? 'no'} lines to ${path}, not ${added}`,
        ),
        ...missing(check.touches ?? [], Object.keys(adds)).map((path) => `it does not touch ${path}`),
        ...[check.touches, check.adds && Object.keys(check.adds)].flatMap((meant) =>
          meant ? missing(Object.keys(adds), meant).map((path) => `it touches ${path} as well`) : [],
        ),
        ...missing(check.defines ?? [], patch.defines).map((symbol) => `it does not define ${symbol}`),
        ...missing(check.uses ?? [], patch.uses).map((symbol) => `it does not use ${symbol}`),
      ];
    }
    case 'symbols-found':
      return evidence.symbols.map(
        ({ symbol, status }) => status !== 'found' && status !== 'from-series' && `${symbol} is ${status}`,
      );
    case 'release-predicted':
      return [
        evidence.release.predicted !== plan.package.release &&
          `the release will be ${evidence.release.predicted}, not ${plan.package.release}`,
      ];
  }
};

const ofLand = (
  check: Extract<
    Check,
    { check: 'patches-landed' | 'patch-landed' | 'manifest-includes' | 'package-bumped' }
  >,
  { plan, series }: Iteration,
  evidence: NonNullable<ReturnType<typeof evidenceOf<'land'>>>['evidence'],
): Faults => {
  const commitTo = (repository: string) =>
    evidence.commits.find((commit) => commit.repository === repository);
  const landed = (file: string): string | false => {
    const path = `patches/${plan.series.scope}/${file}`;
    const found = commitTo(plan.manifest.repository)?.files.find((one) => one.path === path);
    const patch = series.find((one) => one.file === file);
    return found?.sha256 !== patch?.sha256 && `${path} is ${found ? 'another patch' : 'not in the commit'}`;
  };
  switch (check.check) {
    case 'patches-landed':
      return plan.series.patches.map(landed);
    case 'patch-landed':
      return [landed(check.patch)];
    case 'manifest-includes':
      return [
        ...missing(
          plan.series.patches.map((file) => `${plan.series.scope}/${file}`),
          evidence.includes.after,
        ).map((entry) => `${plan.manifest.file} does not include ${entry}`),
        ...missing(evidence.includes.before, evidence.includes.after).map((entry) => `it has lost ${entry}`),
      ];
    case 'package-bumped':
      return [
        !commitTo(plan.package.repository) && `nothing was committed to ${plan.package.repository}`,
        evidence.bump.from !== plan.package.from && `the bump is from ${evidence.bump.from}`,
        evidence.bump.to !== plan.package.to && `the bump is to ${evidence.bump.to}`,
      ];
  }
};

const faultsOf = (check: Check, iteration: Iteration): { faults: Faults; events: number[] } | undefined => {
  const { plan, signingKey } = iteration;
  const seen = <Name extends StepName>(step: Name) => evidenceOf(iteration, step);
  switch (check.check) {
    case 'patch-applies':
    case 'symbols-found':
    case 'release-predicted': {
      const found = seen('preflight');
      return found && { faults: ofPreflight(check, iteration, found.evidence), events: [found.sequence] };
    }
    case 'approved': {
      const review = reviewOf(iteration);
      if (!review) return undefined;
      const words = iteration.approvals.filter((word) => check.by.includes(word.by) && word.approved);
      if (
        check.by.some(
          (person) => review.missing.includes(person) || !words.some((word) => word.by === person),
        )
      )
        return undefined;
      return { faults: [], events: words.map((word) => word.sequence) };
    }
    case 'patches-landed':
    case 'patch-landed':
    case 'manifest-includes':
    case 'package-bumped': {
      const found = seen('land');
      return found && { faults: ofLand(check, iteration, found.evidence), events: [found.sequence] };
    }
    case 'key-usable': {
      const found = seen('keycheck');
      const key = found?.evidence.fingerprint;
      return (
        found && {
          faults: [key !== signingKey && `${found.host} signs with ${key}, the fleet's key is ${signingKey}`],
          events: [found.sequence],
        }
      );
    }
    case 'packages-built': {
      const found = seen('build');
      const landed = seen('land');
      if (!found || !landed) return undefined;
      const names = found.evidence.packages.map(({ name }) => name);
      return {
        faults: [
          ...missing(plan.package.names, names).map((name) => `${name} was not built`),
          !same(found.evidence.buildinfo.pkgver, [plan.package.to]) &&
            `.BUILDINFO says ${found.evidence.buildinfo.pkgver ?? 'nothing'}, not ${plan.package.to}`,
          !landed.evidence.commits.some(({ commit }) => commit === found.evidence.commit) &&
            `it was built from ${found.evidence.commit}, which is not what landed`,
          iteration.rules >= 3 && !found.evidence.attestation && `${found.host} does not attest the build`,
        ],
        events: [found.sequence],
      };
    }
    case 'packages-signed':
    case 'mirrored': {
      const found = seen('publish');
      if (!found) return undefined;
      const { fingerprint, packages, mirror, database } = found.evidence;
      const built = seen('build')?.evidence.packages ?? [];
      return {
        events: [found.sequence],
        faults:
          check.check === 'mirrored'
            ? [
                mirror === null && 'the publisher has no mirror',
                mirror !== null &&
                  mirror.databaseSha256 !== database.sha256 &&
                  `${mirror.url} serves another database`,
                mirror !== null && mirror.filesMatched < packages.length && `${mirror.url} lacks a package`,
              ]
            : [
                fingerprint !== signingKey &&
                  `they are signed with ${fingerprint}, the fleet's key is ${signingKey}`,
                ...built.map(
                  ({ file, sha256 }) =>
                    packages.find((one) => one.file === file)?.sha256 !== sha256 &&
                    `${file} is not the one built`,
                ),
              ],
      };
    }
    case 'backup-held': {
      const found = seen('backup');
      if (!found) return undefined;
      const { version, packages, host } = found.evidence;
      return {
        events: [found.sequence],
        faults: [
          version !== installedBefore(plan) && `the backup is of ${version}, not of ${installedBefore(plan)}`,
          host !== plan.hosts.backup && `it is on ${host}, not on ${plan.hosts.backup}`,
          ...missing(
            plan.package.names,
            packages.map(({ name }) => name),
          ).map((name) => `it lacks ${name}`),
        ],
      };
    }
    case 'staged': {
      const found = seen('stage');
      if (!found) return undefined;
      const published = seen('publish')?.evidence.packages ?? [];
      return {
        events: [found.sequence],
        faults: [
          found.evidence.fingerprint !== signingKey && `the board saw the key ${found.evidence.fingerprint}`,
          ...published.map(
            ({ file, sha256 }) =>
              found.evidence.packages.find((one) => one.file === file)?.sha256 !== sha256 &&
              `${file} is not the one published`,
          ),
        ],
      };
    }
    case 'package-installed': {
      const found = seen('install');
      if (!found) return undefined;
      const { version, packages } = found.evidence;
      return {
        events: [found.sequence],
        faults: [
          version !== plan.package.to && `${version} is installed, not ${plan.package.to}`,
          ...missing(
            plan.package.names,
            packages.map(({ name }) => name),
          ).map((name) => `${name} is not installed`),
          ...packages.map((one) => one.version !== plan.package.to && `${one.name} is ${one.version}`),
          ...packages.map(({ name, filesChecked }) => filesChecked === 0 && `no file of ${name} was checked`),
          ...packages.flatMap(({ name, filesAltered }) =>
            filesAltered.map((file) => `${name}: ${file} is altered`),
          ),
          linkFault(iteration, found.evidence.attestation),
        ],
      };
    }
    case 'kernel-running': {
      const found = seen('reboot');
      if (!found) return undefined;
      const { outcome, before, after, imageBanner, package: installed, fellBack } = found.evidence;
      return {
        events: [found.sequence],
        faults: [
          outcome !== 'new-kernel' &&
            (outcome === 'fell-back'
              ? `the board came back on ${after.procVersion.trim()}${fellBack ? `, ${howItFellBack(fellBack)}` : ''}`
              : `the board rebooted more than once`),
          after.bootId === before.bootId && `the boot id is still ${before.bootId}`,
          !after.procVersion.startsWith(imageBanner) &&
            outcome !== 'fell-back' &&
            `what runs is ${after.procVersion.trim()}, the installed image is ${imageBanner}`,
          after.release !== plan.package.release &&
            `uname -r is ${after.release}, not ${plan.package.release}`,
          installed !== plan.package.to && `${installed} is installed, not ${plan.package.to}`,
          outcome === 'new-kernel' && linkFault(iteration, found.evidence.attestation),
        ],
      };
    }
    case 'sweep-as-expected':
    case 'no-regression': {
      const found = seen('sweep');
      if (!found) return undefined;
      const after = judgeSweep(plan.sweep, found.evidence);
      if (check.check === 'sweep-as-expected')
        return {
          events: [found.sequence],
          faults: [
            found.evidence.version !== plan.package.to &&
              `${found.evidence.version} was swept, not ${plan.package.to}`,
            iteration.rules >= 3 && !found.evidence.attestation && `${found.host} does not attest the sweep`,
            ...after.rows.map(({ row, passed, because }) => !passed && `${row}: ${because}`),
          ],
        };
      const earlier = seen('presweep');
      if (!earlier) return undefined;
      const before = judgeSweep(plan.sweep, earlier.evidence);
      return {
        events: [earlier.sequence, found.sequence],
        faults: before.rows.map(
          ({ row, passed }) =>
            passed && !after.rows.some((one) => one.row === row && one.passed) && `${row} passed before`,
        ),
      };
    }
    case 'confirmed': {
      const found = seen('confirm');
      const version = found?.evidence.version;
      return (
        found && {
          faults: [version !== plan.package.to && `${version} is confirmed, not ${plan.package.to}`],
          events: [found.sequence],
        }
      );
    }
    case 'recorded': {
      const found = seen('record');
      if (!found) return undefined;
      const wanted = check.file
        ? [check.file]
        : [
            plan.close.document,
            ...plan.close.notes.map(({ file }) => file),
            ...(isSweepAsExpected(iteration) ? [plan.close.scoreboard.file] : []),
          ];
      return {
        events: [found.sequence],
        faults: missing(
          wanted,
          found.evidence.commit.files.map(({ path }) => path),
        ).map((file) => `${file} was not committed`),
      };
    }
  }
};

/** One check, answered from the iteration's evidence. Without evidence it is a MISS. */
export const answerCheck = (check: Check, iteration: Iteration): Answer => {
  const found = faultsOf(check, iteration);
  if (!found)
    return { verdict: 'MISS', because: `no evidence of ${checkedStep[check.check]} yet`, events: [] };
  const faults = found.faults.filter((fault): fault is string => typeof fault === 'string');
  return faults.length === 0
    ? { verdict: 'PASS', because: '', events: found.events }
    : { verdict: 'FAIL', because: faults.join('; '), events: found.events };
};

/** Whether the new kernel's sweep is what the plan expects, whatever was waived. */
export const isSweepAsExpected = (iteration: Iteration): boolean =>
  answerCheck({ check: 'sweep-as-expected' }, iteration).verdict === 'PASS';

export interface ClauseVerdict extends Answer {
  id: string;
  says: string;
  checks: (Answer & { check: string; step: string })[];
}

/** Every clause of the plan with its verdict: the worst of its checks', unless somebody waived it. */
export const verdictsOf = (iteration: Iteration): ClauseVerdict[] =>
  iteration.plan.clauses.map(({ id, says, proof }) => {
    const checks = proof.map((check) => ({
      ...answerCheck(check, iteration),
      check: check.check,
      step: checkedStep[check.check],
    }));
    const waiver = iteration.waivers.find(({ clause }) => clause === id);
    const events = [...new Set(checks.flatMap((answer) => answer.events))].sort((a, b) => a - b);
    const worst =
      checks.find(({ verdict }) => verdict === 'FAIL') ?? checks.find(({ verdict }) => verdict !== 'PASS');
    if (worst && waiver)
      return {
        id,
        says,
        checks,
        verdict: 'WAIVED',
        because: `${waiver.by}: ${waiver.why}`,
        events: [...events, waiver.sequence],
      };
    return { id, says, checks, verdict: worst?.verdict ?? 'PASS', because: worst?.because ?? '', events };
  });

/** What a step has to show even where no clause asks for it. */
const ownChecks: { readonly [Name in StepName]?: Check['check'] } = {
  preflight: 'release-predicted',
  keycheck: 'key-usable',
  build: 'packages-built',
  publish: 'packages-signed',
  backup: 'backup-held',
  stage: 'staged',
  install: 'package-installed',
  reboot: 'kernel-running',
  sweep: 'sweep-as-expected',
  confirm: 'confirmed',
};

/**
 * What an iteration's evidence fails: a sentence, the step it is about and the event it rests on. A check whose
 * clause was waived does not count.
 */
export const failedChecks = (
  iteration: Iteration,
): { step: StepName; because: string; sequence: number }[] => {
  const waived = new Set(iteration.waivers.map(({ clause }) => clause));
  const ofClauses = iteration.plan.clauses.flatMap(({ id, proof }) =>
    proof.map((check) => ({ check, name: id, waived: waived.has(id) })),
  );
  const bound = new Set(ofClauses.map(({ check }) => check.check));
  const own = Object.values(ownChecks)
    .filter((check) => !bound.has(check))
    .map((check) => ({ check: { check } as Check, name: checkedStep[check], waived: false }));
  return [...ofClauses, ...own].flatMap(({ check, name, waived: isWaived }) => {
    const step = checkedStep[check.check];
    if (isWaived || step === 'review') return [];
    const { verdict, because, events } = answerCheck(check, iteration);
    return verdict === 'FAIL' ? [{ step, because: `${name}: ${because}`, sequence: events.at(-1) ?? 0 }] : [];
  });
};
