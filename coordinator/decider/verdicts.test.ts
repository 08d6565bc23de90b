import { describe, expect, it } from 'vitest';
import type { Check } from '../../schemas/checks.ts';
import type { StepName } from '../../schemas/step-names.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import { faultsWords } from '../reading/english/check-faults.ts';
import { badEvidence, goodEvidence, sweptWith } from '../testing/example-evidence.ts';
import {
  approves,
  did,
  type History,
  historyOf,
  rejects,
  retried,
  started,
  succeeded,
  until,
  waive,
} from '../testing/history.ts';
import { answerCheck, failedChecks, verdictsOf } from './verdicts.ts';

const done = historyOf(...until('close')).iteration();
const begun = historyOf(started()).iteration();

/** The iteration with one step's evidence as `change` makes it. */
const showing = <Name extends StepName>(
  step: Name,
  change: (evidence: StepEvidence<Name>) => StepEvidence<Name>,
): typeof done => {
  const attempts = done.attempts[step].map((attempt) =>
    attempt.status === 'succeeded'
      ? { ...attempt, evidence: change(structuredClone(attempt.evidence as StepEvidence<Name>)) }
      : attempt,
  );
  return { ...done, attempts: { ...done.attempts, [step]: attempts } };
};

const helper: Check = { check: 'patch-applies', patch: '0001-helper.patch' };

const every: Check[] = [
  helper,
  { check: 'symbols-found' },
  { check: 'release-predicted' },
  { check: 'approved', by: ['architect'] },
  { check: 'patches-landed' },
  { check: 'patch-landed', patch: '0001-helper.patch' },
  { check: 'manifest-includes' },
  { check: 'package-bumped' },
  { check: 'packages-built' },
  { check: 'packages-signed' },
  { check: 'mirrored' },
  { check: 'backup-held' },
  { check: 'staged' },
  { check: 'package-installed' },
  { check: 'kernel-running' },
  { check: 'sweep-as-expected' },
  { check: 'no-regression' },
  { check: 'recorded' },
];

describe.each(every)('$check', (check) => {
  it('passes on what a good step shows, and names the events', () => {
    const { verdict, events } = answerCheck(check, done);
    expect(verdict).toBe('PASS');
    expect(events.length).toBeGreaterThan(0);
  });

  it('is a MISS without evidence', () => {
    expect(answerCheck(check, begun)).toMatchObject({ verdict: 'MISS', events: [] });
  });
});

type Wrong = [Check, string, ReturnType<typeof showing>, RegExp];
const wrong = <Name extends StepName>(
  check: Check,
  step: Name,
  what: string,
  change: (evidence: StepEvidence<Name>) => StepEvidence<Name>,
  because: RegExp,
): Wrong => [check, what, showing(step, change), because];

const patchOf =
  (change: Partial<StepEvidence<'preflight'>['patches'][number]>) =>
  (evidence: StepEvidence<'preflight'>): StepEvidence<'preflight'> => ({
    ...evidence,
    patches: evidence.patches.map((patch, index) => (index === 0 ? { ...patch, ...change } : patch)),
  });
const sha = '0'.repeat(64);
const preflight = 'preflight';

describe('a check fails', () => {
  it.each<Wrong>([
    wrong(helper, preflight, 'a conflict', patchOf({ status: 'conflict' }), /0001-helper.patch conflicts/),
    wrong(
      helper,
      preflight,
      'a patch already there',
      patchOf({ status: 'already-there' }),
      /in the baseline/,
    ),
    wrong(helper, preflight, 'a patch not tried', (seen) => ({ ...seen, patches: [] }), /was not tried/),
    wrong(
      { ...helper, author: 'B <b@x>' },
      preflight,
      'another author',
      (seen) => seen,
      /0001-helper.patch is A </,
    ),
    wrong(
      { ...helper, adds: { 'a.c': 3 } },
      preflight,
      'other lines',
      (seen) => seen,
      /adds no lines to a.c, not 3; 0001-helper.patch touches drivers\/media\/vb2.c/,
    ),
    wrong(
      { ...helper, defines: ['f'] },
      preflight,
      'a definition missing',
      (seen) => seen,
      /does not define f/,
    ),
    wrong({ ...helper, uses: ['g'] }, preflight, 'a use missing', (seen) => seen, /does not use g/),
    wrong(
      { check: 'symbols-found' },
      preflight,
      'a symbol that is missing',
      (seen) => ({ ...seen, symbols: seen.symbols.map((one) => ({ ...one, status: 'missing' as const })) }),
      /dma_fence_init is missing/,
    ),
    wrong(
      { check: 'symbols-found' },
      preflight,
      'a symbol used before it is defined',
      (seen) => ({
        ...seen,
        symbols: seen.symbols.map((one) => ({ ...one, status: 'defined-later' as const })),
      }),
      /is defined-later/,
    ),
    wrong(
      { check: 'release-predicted' },
      preflight,
      'another release',
      () => badEvidence(done, preflight),
      /will be 7.0.0-other/,
    ),
    wrong(
      { check: 'patches-landed' },
      'land',
      'another patch',
      (seen) => {
        const [first] = seen.commits;
        if (first?.files[0]) first.files[0].sha256 = sha;
        return seen;
      },
      /0001-helper.patch is another patch/,
    ),
    wrong(
      { check: 'patch-landed', patch: '0001-helper.patch' },
      'land',
      'no commit',
      (seen) => ({ ...seen, commits: seen.commits.slice(1) }),
      /is not in the commit/,
    ),
    wrong(
      { check: 'manifest-includes' },
      'land',
      'lost entries',
      () => badEvidence(done, 'land'),
      /does not include.*has lost kept.patch/,
    ),
    wrong(
      { check: 'package-bumped' },
      'land',
      'another bump',
      (seen) => ({
        commits: seen.commits.slice(0, 1),
        includes: seen.includes,
        bump: { ...seen.bump, to: '7.0-3' },
      }),
      /nothing was committed to packages; the bump is to 7.0-3/,
    ),
    wrong(
      { check: 'packages-built' },
      'build',
      'another version',
      () => badEvidence(done, 'build'),
      /BUILDINFO says 7.0-9/,
    ),
    wrong(
      { check: 'packages-built' },
      'build',
      'another commit and a package short',
      (seen) => ({ ...seen, commit: '0'.repeat(40), packages: seen.packages.slice(0, 1) }),
      /linux-fourier-headers was not built; it was built from 0{40}/,
    ),
    wrong(
      { check: 'packages-built' },
      'build',
      'no attestation',
      ({ attestation: _none, ...seen }) => seen,
      /boltzmann does not attest the build/,
    ),
    wrong(
      { check: 'package-installed' },
      'install',
      'no link to the build',
      ({ attestation: _none, ...seen }) => seen,
      /rests on the attestation \(none\), the build's is \w{64}/,
    ),
    wrong(
      { check: 'kernel-running' },
      'reboot',
      'a link to another build',
      (seen) => ({ ...seen, attestation: sha }),
      /rests on the attestation \w{64}, the build's is \w{64}/,
    ),
    wrong(
      { check: 'sweep-as-expected' },
      'sweep',
      'no attestation',
      ({ attestation: _none, ...seen }) => seen,
      /fresnel does not attest the sweep/,
    ),
    wrong(
      { check: 'packages-signed' },
      'publish',
      'another key',
      () => badEvidence(done, 'publish'),
      /hertz reports the key 0{40}/,
    ),
    wrong(
      { check: 'packages-signed' },
      'publish',
      'another package',
      (seen) => ({ ...seen, packages: seen.packages.map((one) => ({ ...one, sha256: sha })) }),
      /is not the one that was built/,
    ),
    wrong(
      { check: 'mirrored' },
      'publish',
      'no mirror',
      (seen) => ({ ...seen, mirror: null }),
      /has no mirror/,
    ),
    wrong(
      { check: 'mirrored' },
      'publish',
      'an old mirror',
      (seen) => ({ ...seen, mirror: { url: 'http://m', databaseSha256: sha, filesMatched: 1 } }),
      /another database; http:\/\/m serves 1 of 2 packages/,
    ),
    wrong(
      { check: 'backup-held' },
      'backup',
      'another version',
      () => badEvidence(done, 'backup'),
      /backup is of 6.9-1/,
    ),
    wrong(
      { check: 'backup-held' },
      'backup',
      'another place and no package',
      (seen) => ({ ...seen, host: 'fermi', packages: [] }),
      /it is on fermi, not on hertz; linux-fourier is not in the backup; linux-fourier-headers is not/,
    ),
    wrong(
      { check: 'staged' },
      'stage',
      'another key',
      () => badEvidence(done, 'stage'),
      /fresnel reports the key 0{40}/,
    ),
    wrong(
      { check: 'staged' },
      'stage',
      'nothing',
      (seen) => ({ ...seen, packages: [] }),
      /is not the one that was published/,
    ),
    wrong(
      { check: 'package-installed' },
      'install',
      'altered files',
      (seen) => ({
        ...seen,
        packages: seen.packages.map((one) => ({ ...one, filesAltered: ['/boot/Image'] })),
      }),
      /\/boot\/Image is altered/,
    ),
    wrong(
      { check: 'package-installed' },
      'install',
      'files that nobody looked at',
      (seen) => ({ ...seen, packages: seen.packages.map((one) => ({ ...one, filesChecked: 0 })) }),
      /no file of linux-fourier was checked/,
    ),
    wrong(
      { check: 'package-installed' },
      'install',
      'one package left behind',
      (seen) => ({
        ...seen,
        packages: seen.packages.map((one, at) => ({ ...one, version: at ? '7.0-1' : '7.0-2' })),
      }),
      /linux-fourier-headers is 7.0-1/,
    ),
    wrong(
      { check: 'kernel-running' },
      'reboot',
      'a fallback',
      () => badEvidence(done, 'reboot'),
      /came back on Linux version 6.9.0/,
    ),
    wrong(
      { check: 'kernel-running' },
      'reboot',
      'the old boot',
      (seen) => ({ ...seen, after: { ...seen.after, bootId: seen.before.bootId } }),
      /boot id is still/,
    ),
    wrong(
      { check: 'kernel-running' },
      'reboot',
      'the same release from another image',
      (seen) => ({ ...seen, imageBanner: 'Linux version 7.0.0-fourier (gcc) #2 of 7.0-3' }),
      /what runs is .* the installed image is .*#2/,
    ),
    wrong(
      { check: 'sweep-as-expected' },
      'sweep',
      'a race lost',
      () => badEvidence(done, 'sweep'),
      /h264: libva = kernel-direct/,
    ),
    wrong(
      { check: 'sweep-as-expected' },
      'sweep',
      'another kernel',
      (seen) => ({ ...seen, version: '7.0-1' }),
      /7.0-1 was swept, not 7.0-2/,
    ),
    wrong(
      { check: 'no-regression' },
      'sweep',
      'a row lost',
      () => sweptWith(done, '7.0-2', ['mpeg2']),
      /mpeg2 passed before/,
    ),
    wrong(
      { check: 'recorded' },
      'record',
      'files short',
      () => badEvidence(done, 'record'),
      /scoreboard.md was not committed/,
    ),
  ])('$check: %s', (check, _what, iteration, because) => {
    const answer = answerCheck(check, iteration);
    expect(['FAIL', 'MISS', 'ERROR']).toContain(answer.verdict);
    expect(faultsWords(answer.faults)).toMatch(because);
    expect(answer.events.length).toBeGreaterThan(0);
  });
});

it('an approval counts only while it is that person’s last word', () => {
  const check: Check = { check: 'approved', by: ['architect'] };
  const reviewed = [...until('review'), did(approves('architect'))];
  expect(answerCheck(check, historyOf(...reviewed).iteration()).verdict).toBe('PASS');
  const { state } = historyOf(...reviewed, did(rejects('architect')));
  expect(answerCheck(check, state.iterations.get('iter5') ?? begun).verdict).toBe('MISS');
});

describe('the ledger', () => {
  const clause = (history: History, id: string) =>
    verdictsOf(history.iteration()).find((one) => one.id === id);

  it('takes the worst of a clause’s checks', () => {
    const history = historyOf(...until('publish'), (log) => {
      const evidence = goodEvidence(log.iteration(), 'publish');
      log.succeed('publish', { ...evidence, mirror: null });
    });
    expect(clause(history, 'C8')).toMatchObject({ verdict: 'MISS', faults: [{ code: 'no-mirror' }] });
    expect(clause(history, 'C9')?.verdict).toBe('PASS');
    expect(clause(history, 'C10')?.verdict).toBe('MISS');
  });

  it('shows WAIVED only for a clause that did not pass, with who and why', () => {
    const history = historyOf(...until('sweep'), did(waive('C11')), did(waive('C1')));
    expect(clause(history, 'C11')).toMatchObject({
      verdict: 'WAIVED',
      waiver: { by: 'mfritsche', why: 'known' },
    });
    expect(clause(history, 'C1')?.verdict).toBe('PASS');
  });
});

describe('a step without a clause of its own', () => {
  const plain = (history: History) => {
    const iteration = history.iteration();
    return { ...iteration, plan: { ...iteration.plan, clauses: [] } };
  };

  it.each(['preflight', 'build', 'publish', 'backup', 'stage', 'install', 'reboot', 'sweep'] as const)(
    'still has to pass the own check of %s',
    (step) => {
      const way = step === 'backup' ? until('build') : until(step);
      const history = historyOf(...way, (log) => void log.succeed(step, badEvidence(log.iteration(), step)));
      expect(failedChecks(plain(history)).map((failed) => failed.step)).toEqual([step]);
    },
  );

  it('is not judged by a clause that was waived', () => {
    const history = historyOf(
      ...until('publish'),
      succeeded('publish', (iteration) => badEvidence(iteration, 'publish')),
      did(waive('C8')),
      retried,
    );
    expect(failedChecks(history.iteration())).toEqual([]);
  });
});
