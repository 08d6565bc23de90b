import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sandboxPlaces } from '../deploy/places/sandbox-places.ts';
import { readConfigFile } from '../eventlog/files/config-file.ts';
import { openEnvelope } from '../eventlog/signing/envelope.ts';
import { attestationHash, ProvenanceStatement, TestResultStatement } from '../schemas/attestation.ts';
import { Fleet } from '../schemas/fleet.ts';
import { type KaRan, ka, testFolder } from './ka.ts';

describe('ka demo --keep', () => {
  let remove: () => Promise<void>;
  let sandbox: string;
  let config: string[];
  let demo: KaRan;
  /** The iteration's events as `ka log` prints them. They are read once, after the iteration has closed. */
  let logged: Promise<ReturnType<typeof JSON.parse>[]> | undefined;
  const events = () => {
    logged ??= ka(['log', 'iter5', '--json', ...config]).then(({ stdout }) =>
      stdout.split('\n').map((line) => JSON.parse(line)),
    );
    return logged;
  };

  beforeAll(async () => {
    const made = await testFolder('demo');
    remove = made.remove;
    sandbox = join(made.folder, 'fleet');
    config = ['--config', join(sandbox, 'control/ka.yaml')];
    demo = await ka(['demo', '--keep', '--json', '--dir', sandbox]);
  });

  afterAll(async () => {
    await ka(['down', '--dir', sandbox]);
    await remove();
  });

  it('closes iteration 5 with one JSON document on standard output', () => {
    expect(demo.stderr).toContain('CLOSED');
    expect(demo.exitCode).toBe(0);
    const document = JSON.parse(demo.stdout);
    expect(document).toMatchObject({
      iteration: 'iter5',
      status: 'closed',
      sweep: { before: { passed: 1, total: 5 }, after: { passed: 5, total: 5 } },
    });
    expect(document.clauses.map(({ id }: { id: string }) => id)).toEqual(
      Array.from({ length: 12 }, (_, index) => `C${index + 1}`),
    );
    for (const { verdict, events } of document.clauses) {
      expect(verdict).toBe('PASS');
      expect(events.length).toBeGreaterThan(0);
      for (const sequence of events) expect(sequence).toBeLessThanOrEqual(document.lastSequence);
    }
    expect(document.seconds).toBeGreaterThan(0);
  });

  it('leaves a fleet that can be audited: clause, verdict, evidence, event', async () => {
    const { exitCode, stdout } = await ka(['audit', 'iter5', '--json', ...config]);
    expect(exitCode).toBe(0);
    const { clauses } = JSON.parse(stdout);
    expect(clauses).toHaveLength(12);
    for (const { verdict, evidence } of clauses) {
      expect(verdict).toBe('PASS');
      expect(evidence[0]).toMatchObject({
        sequence: expect.any(Number),
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      });
    }
  });

  it('has an unbroken chain from what was approved to what the board swept', async () => {
    const all = await events();
    const data = (type: string) => all.find((event) => event.type === type).data;
    const { hosts } = readConfigFile(sandboxPlaces(sandbox).fleetFile, Fleet);
    const opened = (type: string, host: string) => {
      const { attestation } = data(type).evidence;
      const payload = openEnvelope([hosts[host]?.publicKey ?? ''], attestation);
      return JSON.parse(new TextDecoder().decode(payload));
    };
    const built = ProvenanceStatement.parse(opened('BuildSucceeded', 'boltzmann'));
    const { planSha256, trees } = data('ReviewApproved');
    expect(trees).toHaveLength(4);
    expect(built.predicate.buildDefinition.externalParameters).toMatchObject({ planSha256, trees });
    const link = attestationHash(data('BuildSucceeded').evidence.attestation);
    expect(data('InstallSucceeded').evidence.attestation).toBe(link);
    expect(data('RebootSucceeded').evidence.attestation).toBe(link);
    const swept = TestResultStatement.parse(opened('SweepSucceeded', 'fresnel'));
    expect(swept.subject).toEqual(built.subject);
    expect(swept.predicate.result).toBe('PASSED');
  });

  it('decides again what the log holds', async () => {
    const { exitCode, stdout } = await ka(['replay', '--check', '--json', ...config]);
    expect(exitCode).toBe(0);
    const result = JSON.parse(stdout);
    expect(result.mismatches).toEqual([]);
    expect(result.decided).toBeGreaterThan(12);
    expect(result.events).toBeGreaterThan(result.decided);
  });

  it('exports the iteration, which anybody with the same pinned keys can check; a changed byte is found', async () => {
    const file = join(sandbox, 'iter5.tar');
    const pinned = ['--fleet', join(sandbox, 'control/fleet.yaml')];
    const live = await ka(['audit', '--verify', '--json', ...config]);
    expect(JSON.parse(live.stdout)).toMatchObject({ checkpoints: 4, faults: [] });
    expect((await ka(['export', 'iter5', '--out', file, ...config])).exitCode).toBe(0);
    const verify = (archive: string) => ka(['audit', '--verify', '--from', archive, '--json', ...pinned]);
    const bytes = await readFile(file);
    const changed = async (before: string, after: string) => {
      const archive = `${file}.${after.replace(/\W/g, '')}`;
      const copy = Buffer.from(bytes);
      copy.set(Buffer.from(after), bytes.indexOf(before));
      await writeFile(archive, copy);
      return verify(archive);
    };
    const [again, checked, ...found] = await Promise.all([
      ka(['export', 'iter5', '--out', file, ...config]),
      verify(file),
      changed('\nok 1 sweep', '\nnot ok 1 s'), // in the sweep's KTAP
      changed('"sequence":9,', '"sequence":8,'),
    ]);
    // The report's words prove nothing: another version may have written them.
    const reworded = await changed('5 of 5', '4 of 5');
    expect(reworded.exitCode).toBe(0);
    expect(JSON.parse(reworded.stdout)).toMatchObject({ faults: [], notes: [{ file: 'report.md' }] });
    expect(again.stderr).toContain('is there already');
    expect(checked.exitCode).toBe(0);
    expect(JSON.parse(checked.stdout)).toMatchObject({ checkpoints: 1, withheld: [], faults: [] });
    for (const { exitCode, stdout } of found) {
      expect(exitCode).toBe(1);
      expect(JSON.parse(stdout).faults).not.toEqual([]);
    }
  });

  it('shows an earlier state, and the log with one event per line', async () => {
    const all = await events();
    const started = all.find(({ type }) => type === 'IterationStarted').sequence;
    const asked = all.find(({ type }) => type === 'BuildRequested').sequence;
    expect(all.filter(({ type }) => type === 'BuildSucceeded')).toHaveLength(1);
    const [before, then] = await Promise.all(
      [started - 1, asked].map(async (sequence) => {
        const { stdout } = await ka(['replay', '--at', String(sequence), '--json', ...config]);
        return JSON.parse(stdout);
      }),
    );
    expect(before.iterations).toEqual({});
    expect(then.iterations.iter5.steps.build).toEqual([
      expect.objectContaining({ status: 'open', host: 'boltzmann' }),
    ]);
  });

  it('has put 7.0-2 on the board, as pacman confirms', async () => {
    const { stdout } = await execa('pacman', ['-Q', '--config', join(sandbox, 'fresnel/pacman.conf')]);
    expect(stdout.split('\n')).toEqual([
      'linux-fresnel-fourier 7.0-2',
      'linux-fresnel-fourier-headers 7.0-2',
    ]);
  });

  it('reports patches, artifacts, the matrix before and after, durations, approvals and the scoreboard', async () => {
    const { stdout } = await ka(['report', 'iter5', ...config]);
    expect(stdout).toContain('**1 of 5** on 7.0-1');
    expect(stdout).toContain('**5 of 5** on 7.0-2');
    expect(stdout).toContain('sonnet-architect approved series tree');
    expect(stdout).toContain('5/5 direct (was 4 direct + 1 transitive)');
    expect(stdout).toContain('0004-media-rkvdec-attach-dma_resv-release-fence-at-buf_queue.patch');
  });

  it('keeps the output of every step, and shows the hosts', async () => {
    const output = await ka(['output', 'iter5', 'build', ...config]);
    expect(output.stdout).toContain('rkvdec');
    const { hosts } = JSON.parse((await ka(['fleet', '--json', ...config])).stdout);
    expect(hosts.map(({ host, role, present }: Record<string, unknown>) => [host, role, present])).toEqual([
      ['boltzmann', 'builder', true],
      ['fermi', 'builder', true],
      ['hertz', 'publisher', true],
      ['fresnel', 'board', true],
    ]);
  });

  it('refuses a second iteration of the same name', async () => {
    const again = await ka([
      'iterate',
      join(import.meta.dirname, '../examples/iteration-5/plan.yaml'),
      ...config,
    ]);
    expect(again.exitCode).toBe(2);
    expect(again.stderr).toMatch(
      /^ka: iteration "iter5" exists already, started .* by mfritsche; give the plan another name$/m,
    );
  });
});
