import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { describe, expect, it } from 'vitest';
import { patchBytes } from '../../schemas/plan.ts';
import type { Iteration } from '../decider/state.ts';
import { evidenceOf } from '../decider/state.ts';
import { type KcidbReport, kcidbOf } from './kcidb.ts';
import { sweepResults } from './sweep-results.ts';
import { brokenWith, hostileTexts, iterations } from './testdata/iterations.ts';

const ajv = new Ajv({ allErrors: true });
addFormats.default(ajv);
const isValid = ajv.compile(
  JSON.parse(readFileSync(join(import.meta.dirname, 'testdata/kcidb-v5.3.schema.json'), 'utf8')),
);
const faultsOf = (report: unknown) => (isValid(JSON.parse(JSON.stringify(report))) ? [] : isValid.errors);

const reportOf = (name: keyof typeof iterations): KcidbReport => {
  const iteration = iterations[name];
  if (!iteration) throw new Error(`no iteration ${name}`);
  return kcidbOf(iteration, 'my-fleet');
};

const statusesOf = (name: keyof typeof iterations) =>
  Object.fromEntries(reportOf(name).tests.map(({ path, status }) => [path, status]));

describe('an iteration as KCIDB', () => {
  it.each(Object.entries(iterations))(
    'is valid by schema v5.3, and its ids are consistent: %s',
    (_name, iteration) => {
      const report = kcidbOf(iteration, 'my-fleet');
      expect(faultsOf(report)).toEqual([]);
      const ids = [...report.checkouts, ...report.builds, ...report.tests].map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.every((id) => id.startsWith('kernel_agent_my_fleet:'))).toBe(true);
      for (const { checkout_id } of report.builds) expect(ids).toContain(checkout_id);
      for (const { build_id } of report.tests) expect(ids).toContain(build_id);
    },
  );

  it('names what was checked out, and the identity of the patch stack as KernelCI computes it', () => {
    const iteration = iterations.closed as Iteration;
    const [checkout] = reportOf('closed').checkouts;
    expect(checkout).toMatchObject({
      git_commit_hash: '4fd299597e01d6cd0f6b1e1eb3fd406bc090e073',
      patchset_hash: evidenceOf(iteration, 'preflight')?.evidence.patchset,
      valid: true,
      misc: { tag: 'v7.0' },
    });
    const folder = mkdtempSync(join(tmpdir(), 'ka-kcidb-'));
    try {
      for (const patch of iteration.series) writeFileSync(join(folder, patch.file), patchBytes(patch));
      const files = iteration.series.map(({ file }) => file);
      const sums = execFileSync('sha256sum', ['--', ...files], { cwd: folder, encoding: 'utf8' });
      const input = sums.replaceAll(/^(.{64}).*$/gm, '$1');
      expect(execFileSync('sha256sum', { input, encoding: 'utf8' }).slice(0, 64)).toBe(
        checkout?.patchset_hash,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('holds what is known about a build, and nothing else', () => {
    const [build] = reportOf('closed').builds;
    expect(build).toMatchObject({ status: 'PASS', architecture: 'x86_64', duration: expect.any(Number) });
    expect(build).not.toHaveProperty('compiler');
    const [failed] = reportOf('build failed').builds;
    expect(failed).toMatchObject({ status: 'FAIL', log_excerpt: 'cc: \\u{1b}[31merror\\u{1b}[0m' });
    expect(failed).not.toHaveProperty('start_time');
    expect(reportOf('started').builds).toEqual([]);
    expect(reportOf('started').checkouts[0]).not.toHaveProperty('valid');
  });

  it('names the compiler that the running kernel names', () => {
    const iteration = iterations['not swept yet'] as Iteration;
    const procVersion =
      'Linux version 7.0.0-fourier (b@h) (aarch64-linux-gnu-gcc (Debian 12.2.0-14) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP';
    const reboot = iteration.attempts.reboot.map((attempt) => {
      if (attempt.status !== 'succeeded') return attempt;
      const after = { ...attempt.evidence.after, procVersion };
      return { ...attempt, evidence: { ...attempt.evidence, after, imageBanner: procVersion } };
    });
    const named = kcidbOf({ ...iteration, attempts: { ...iteration.attempts, reboot } }, 'my-fleet');
    expect(named.builds[0]?.compiler).toBe('aarch64-linux-gnu-gcc (Debian 12.2.0-14) 12.2.0');
  });

  it('keeps FAIL, ERROR, MISS and SKIP apart', () => {
    expect(statusesOf('fail and miss')).toMatchObject({
      sweep: 'FAIL',
      'sweep.h264': 'FAIL',
      'sweep.h264.libva': 'PASS',
      'sweep.h264.libva_eq_software': 'FAIL',
      'sweep.mpeg2': 'MISS',
      'sweep.mpeg2.software': 'MISS',
      'sweep.mpeg2.libva_ne_software': 'MISS',
    });
    expect(statusesOf('error')).toMatchObject({
      sweep: 'ERROR',
      'sweep.h264.libva': 'ERROR',
      'sweep.mpeg2': 'PASS',
    });
    expect(statusesOf('two paths compared')).toMatchObject({ sweep: 'PASS', 'sweep.h264.software': 'SKIP' });
    expect(statusesOf('sweep broke')).toMatchObject({ sweep: 'ERROR', 'sweep.the_attempt': 'ERROR' });
    expect(statusesOf('another package')).toMatchObject({ sweep: 'FAIL', 'sweep.h264': 'PASS' });
    expect(new Set(Object.values(statusesOf('not swept yet')))).toEqual(new Set(['MISS']));
  });

  it('has the judgement of each test that KTAP and JUnit have', () => {
    for (const [name, iteration] of Object.entries(iterations)) {
      const { tests } = kcidbOf(iteration, 'my-fleet');
      const { whole } = sweepResults(iteration, 'sweep');
      const judged = [whole, ...whole.tests.flatMap((row) => [row, ...row.tests])];
      if (tests.length > 0)
        expect([name, ...tests.map(({ status }) => status)]).toEqual([
          name,
          ...judged.map(({ verdict }) => verdict),
        ]);
    }
  });

  it('lets no control character of a board through', () => {
    for (const text of hostileTexts) {
      const report = kcidbOf(brokenWith(text), 'my-fleet');
      expect(faultsOf(report)).toEqual([]);
      expect(JSON.stringify(report)).not.toMatch(/\\u00[0189]|\\ud[89a-f]|[\u007f-\u009f\u202e\u2028\ufffe]/);
    }
  });
});

describe('the schema that the tests use', () => {
  const good = reportOf('closed');
  const [test, ...tests] = good.tests;

  it.each<[string, unknown]>([
    ['a status that KCIDB does not have', { ...good, tests: [{ ...test, status: 'WAIVED' }, ...tests] }],
    ['a field that KCIDB does not have', { ...good, tests: [{ ...test, verdict: 'PASS' }, ...tests] }],
    ['an id without an origin', { ...good, tests: [{ ...test, id: 'iter5' }, ...tests] }],
    ['an origin with a dash', { ...good, tests: [{ ...test, origin: 'my-fleet' }, ...tests] }],
    ['a path with an empty level', { ...good, tests: [{ ...test, path: 'sweep..libva' }, ...tests] }],
    ['an invalid time', { ...good, tests: [{ ...test, start_time: 'today' }, ...tests] }],
    ['a null', { ...good, tests: [{ ...test, comment: null }, ...tests] }],
    ['another version', { ...good, version: { major: 5, minor: 4 } }],
    ['a short commit', { ...good, checkouts: [{ ...good.checkouts[0], git_commit_hash: '4fd2995' }] }],
  ])('refuses %s', (_name, report) => {
    expect(faultsOf(report)).not.toEqual([]);
  });
});
