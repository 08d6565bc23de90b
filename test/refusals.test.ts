import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadPlan } from '../coordinator/plan/plan-file.ts';
import { readConfigFile } from '../eventlog/files/config-file.ts';
import { Fleet } from '../schemas/fleet.ts';
import { breakPkgbuild } from './broken-pkgbuild.ts';
import { type KaRan, ka } from './ka.ts';
import { patienceMs } from './patience.ts';
import { type PlanVariant, planVariant } from './plan-variant.ts';
import { approver, startTestFleet, type TestFleet } from './test-fleet.ts';

const helper = '0001-media-videobuf2-add-dma_resv-release-fence-helper.patch';
const hantro = '0002-media-hantro-attach-dma_resv-release-fence-at-buf_queue.patch';
const rga = '0003-media-rockchip-rga-attach-dma_resv-release-fence-at-buf_queue.patch';
const rkvdec = '0004-media-rkvdec-attach-dma_resv-release-fence-at-buf_queue.patch';
const baselineCommit = '4fd299597e01d6cd0f6b1e1eb3fd406bc090e073';

let fleet: TestFleet;
let before: Awaited<ReturnType<TestFleet['world']>>;

beforeAll(async () => {
  fleet = await startTestFleet('refusals');
  before = await fleet.world();
});
afterAll(() => fleet?.remove());

const variant = (asked: PlanVariant) => planVariant(fleet.folder, asked);

/** Expects bad input or bad use: exit code 2, nothing on standard output, and the fault without a stack trace. */
const expectRefused = ({ exitCode, stdout, stderr }: KaRan, wanted: RegExp) => {
  expect(stderr).toMatch(wanted);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
};

interface BadPlan {
  has: string;
  change: Omit<PlanVariant, 'iteration'>;
  /** The text of the plan at which the fault is reported. */
  at: string;
  fault: string;
}
const badPlans: BadPlan[] = [
  {
    has: 'an unknown key',
    change: { plan: [['title: ', 'titel: a fence\ntitle: ']] },
    at: 'titel',
    fault: 'unknown key "titel"',
  },
  {
    has: 'a patch file that is not there',
    change: { without: [hantro] },
    at: hantro,
    fault: `patch ${hantro}: there is no patches/${hantro}`,
  },
  {
    has: 'a duplicate clause',
    change: { plan: [['id: C3\n', 'id: C2\n']] },
    at: 'C2\n    says: "Patch 3/4',
    fault: 'duplicate clause C2',
  },
  {
    has: 'an unknown host',
    change: { plan: [['publisher: hertz', 'publisher: herz']] },
    at: 'herz',
    fault: 'unknown host "herz"; the fleet sandbox has boltzmann, fermi, hertz, fresnel',
  },
  {
    has: 'a clause that is bound to no evidence',
    change: { plan: [['[{ check: manifest-includes }]', '[]']] },
    at: 'proof: []',
    fault: 'clauses[C6].proof: a clause needs at least one check on evidence',
  },
  {
    has: 'an empty patch',
    change: { variants: ['empty'] },
    at: rkvdec,
    fault: `patch ${rkvdec} is empty: it holds no diff`,
  },
  {
    has: 'a patch outside the tree',
    change: { variants: ['outside'] },
    at: rga,
    fault: `patch ${rga} touches ../../etc/passwd, which is outside the tree`,
  },
];

describe('a plan', () => {
  /** The expected report of these faults in this plan: one line each, in the order of the plan. */
  const toldOf = async (file: string, bad: readonly BadPlan[]): Promise<string> => {
    const text = await readFile(file, 'utf8');
    return bad
      .map(({ at, fault }) => {
        const lines = text.slice(0, text.indexOf(at)).split('\n');
        return { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1, fault };
      })
      .sort((a, b) => a.line - b.line || a.column - b.column)
      .map(({ line, column, fault }) => `${file}:${line}:${column}: ${fault}`)
      .join('\n');
  };

  // Loaded directly, as the commands below do it; each of those takes most of a second to start.
  it.each(badPlans)('with $has is refused, at its line and column', async (bad) => {
    const iteration = `bad-${badPlans.indexOf(bad)}`;
    const file = await variant({ iteration, ...bad.change });
    const known = readConfigFile(fleet.places.fleetFile, Fleet);
    const told = await toldOf(file, [bad]);
    expect(() => loadPlan(file, known)).toThrow(expect.objectContaining({ message: told }));
  });

  it('with all these faults gets all of them reported at once, by plan check and by iterate', async () => {
    const changes = badPlans.map(({ change }) => change);
    const file = await variant({
      iteration: 'bad-in-all',
      plan: changes.flatMap(({ plan = [] }) => plan),
      variants: changes.flatMap(({ variants = [] }) => variants),
      without: changes.flatMap(({ without = [] }) => without),
    });
    const told = { exitCode: 2, stdout: '', stderr: await toldOf(file, badPlans) };
    const [checked, started] = await Promise.all([
      fleet.ka('plan', 'check', file),
      fleet.ka('iterate', file, '--watch'),
    ]);
    for (const { exitCode, stdout, stderr } of [checked, started])
      expect({ exitCode, stdout, stderr }).toEqual(told);
  });

  it('that is refused leaves nothing in the log', async () => {
    expect(await fleet.types()).toEqual(Array.from({ length: 4 }, () => 'AgentStarted'));
  });
});

describe('the command line', () => {
  it('gives 0 for help, and 2 for bad use', async () => {
    const [help, auditHelp, command, option, argument] = await Promise.all([
      ka(['help']),
      ka(['audit', '--help']),
      ka(['itterate', 'plan.yaml']),
      fleet.ka('status', '--jsno'),
      fleet.ka('audit'),
    ]);
    expect([help.exitCode, auditHelp.exitCode]).toEqual([0, 0]);
    expect(help.stdout).toContain('Exit codes: 0 done');
    expect(auditHelp.stdout).toContain('Usage: ka audit');
    expectRefused(command, /unknown command 'itterate'/);
    expectRefused(option, /unknown option '--jsno'/);
    expectRefused(argument, /^ka: ka audit needs an iteration, or --verify$/);
  });

  it('names the existing iterations if it is asked for another', async () => {
    const [status, approve] = await Promise.all([
      fleet.ka('status', 'iter4'),
      fleet.ka('approve', 'iter4', '--as', approver),
    ]);
    for (const ran of [status, approve])
      expectRefused(ran, /^ka: there is no iteration "iter4"; the log holds/);
  });
});

describe('an iteration', () => {
  it('whose series conflicts stops at preflight, naming patch, file and hunk; no host has changed', async () => {
    const ran = await fleet.carry(await variant({ iteration: 'conflict', variants: ['conflict'] }));
    expect(ran.exitCode).toBe(1);
    expect(ran.stdout).toMatch(
      new RegExp(
        `FAILED: preflight on boltzmann: .* patch ${helper} conflicts in drivers/media/common/videobuf2/videobuf2-core\\.c at @@ -11,6 `,
      ),
    );
    // The signing key is tried meanwhile; whether that ends first is random.
    const types = (await fleet.types('conflict')).filter((type) => !type.startsWith('Keycheck'));
    expect(types).toEqual([
      'IterationStarted',
      'IterationAccepted',
      'PreflightRequested',
      'PreflightFailed',
      'IterationFailed',
    ]);
    expect(await fleet.world()).toEqual(before);
  });

  it('whose baseline tag has moved fails in preflight, naming both commits', async () => {
    const planned = 'c0ffee6789012345678901234567890123456789';
    const ran = await fleet.carry(await variant({ iteration: 'moved', plan: [[baselineCommit, planned]] }));
    expect(ran.exitCode).toBe(1);
    expect(ran.stdout).toMatch(/ moved preflight FAILED on boltzmann: /);
    expect(ran.stdout).toContain(planned);
    expect(ran.stdout).toContain(baselineCommit);
    expect(await fleet.world()).toEqual(before);
  });

  it("whose PKGBUILD does not parse fails in preflight, in bash's words", async () => {
    const mend = await breakPkgbuild(fleet);
    try {
      const ran = await fleet.carry(await variant({ iteration: 'broken' }));
      expect(ran.exitCode).toBe(1);
      expect(ran.stdout).toMatch(/ broken preflight FAILED on boltzmann: .*PKGBUILD.*syntax error/);
    } finally {
      await mend();
    }
    expect((await fleet.world()).board).toEqual(before.board);
  });
});

/** One iteration's life with a patch that does not compile, from its start by two people to its abort. */
describe('an iteration that two people start at once', () => {
  let file: string;
  let watched: Promise<KaRan[]>;

  beforeAll(async () => {
    file = await variant({
      iteration: 'twins',
      patches: {
        [rkvdec]: [['attach_release_fence(vb);\n }', 'attach_release_fence(vb)\n }']],
      },
    });
    watched = Promise.all([fleet.ka('iterate', file, '--watch'), fleet.ka('iterate', file, '--watch')]);
    await vi.waitFor(async () => expect(await fleet.types('twins')).toContain('ReviewRequested'), {
      timeout: patienceMs,
      interval: 200,
    });
  });

  it('exists once, and nobody can start it again', async () => {
    expect((await fleet.types('twins')).filter((type) => type === 'IterationStarted')).toHaveLength(1);
    expectRefused(
      await fleet.ka('iterate', file, '--watch'),
      /^ka: iteration "twins" exists already, started .* by .*; give the plan another name$/,
    );
  });

  it('accepts approvals only of people whom the plan asks, and a waiver or rejection only with a reason', async () => {
    const last = await fleet.lastSequence();
    const [stranger, unasked, unlicensed, unexplained, clause, reasonless] = await Promise.all([
      fleet.ka('approve', 'twins', '--as', 'mallory', '-m', 'fine'),
      fleet.ka('approve', 'twins', '--as', 'mfritsche', '-m', 'fine'),
      fleet.ka('waive', 'twins', 'C11', '--as', approver, '-m', 'fine'),
      fleet.ka('waive', 'twins', 'C11'),
      fleet.ka('waive', 'twins', 'C99', '-m', 'why not'),
      fleet.ka('reject', 'twins', '--as', approver),
    ]);
    expectRefused(stranger, /^ka: "mallory" has no key here: .* has those of mfritsche, sonnet-architect$/);
    expectRefused(unlicensed, /^ka: sonnet-architect may not say ClauseWaived: the fleet's file lets/);
    expectRefused(
      unasked,
      /^ka: the plan of twins does not ask for the review of "mfritsche"; it asks for sonnet-architect$/,
    );
    expectRefused(unexplained, /^ka: ka waive needs a reason: -m WHY$/);
    expectRefused(clause, /^ka: the plan of twins has no clause "C99"; it has C1, /);
    expectRefused(reasonless, /^ka: ka reject needs a reason: -m WHY$/);
    expect(await fleet.lastSequence()).toBe(last);
  });

  it('is ended by a rejection; of the two people who started it, one saw it fail, and one was refused', async () => {
    expect((await fleet.ka('reject', 'twins', '--as', approver, '-m', 'it leaks a fence')).exitCode).toBe(0);
    const ran = await watched;
    const [won, lost] = ran[0]?.exitCode === 2 ? [ran[1], ran[0]] : ran;
    expect([won?.exitCode, lost?.exitCode]).toEqual([1, 2]);
    expect(won?.stdout).toContain(
      'twins FAILED: review: sonnet-architect rejected it: it leaks a fence. Go back to: phase 0',
    );
    expect(lost?.stderr).toMatch(/^ka: (iteration "twins" exists already|somebody else did the same)/);
    expect(await fleet.types('twins')).not.toContain('LandRequested');
  });

  it("shows the compiler's last lines when its build fails, and leaves the board as it was", async () => {
    expect((await fleet.ka('retry', 'twins')).exitCode).toBe(0);
    expect((await fleet.ka('approve', 'twins', '--as', approver, '-m', 'it does not')).exitCode).toBe(0);
    const ran = await fleet.ka('watch', 'twins');
    expect(ran.exitCode).toBe(1);
    expect(ran.stdout).toMatch(/ twins build FAILED on boltzmann: /);
    expect(ran.stdout).toMatch(/^ {4}.*rkvdec\.c:\d+:\d+: error: expected .;. before /m);
    expect(ran.stdout).toMatch(/^\S+ twins FAILED: build on boltzmann: /m);
    const { board, view, served } = await fleet.world();
    expect({ board, view, served }).toEqual({
      board: before.board,
      view: before.view,
      served: before.served,
    });
    const types = await fleet.types('twins');
    expect(types).not.toContain('InstallRequested');
    expect(types).not.toContain('RollbackRequested');
  });

  it('can be retried: only the build is asked for again, until it is aborted', async () => {
    const last = await fleet.lastSequence();
    expect((await fleet.ka('retry', 'twins')).exitCode).toBe(0);
    const abort = await fleet.ka('abort', 'twins', '-m', 'the patch lacks a semicolon');
    expect(abort.exitCode).toBe(0);
    const ran = await fleet.ka('watch', 'twins');
    expect(ran.exitCode).toBe(1);
    expect(ran.stdout).toMatch(/ twins ABORTED: .* aborted it: the patch lacks a semicolon$/);
    const asked = (await fleet.events('twins')).filter(({ sequence }) => sequence > last);
    expect(asked.map(({ event }) => event.type)).toEqual([
      'RetryAsked',
      'RetryAccepted',
      'BuildRequested',
      'AbortAsked',
      'BuildSuperseded',
      'IterationAborted',
    ]);
  });
});

describe('the log of all these', () => {
  it('is decided again as it was', async () => {
    const { exitCode, stdout } = await fleet.ka('replay', '--check', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ mismatches: [] });
    expect(exitCode).toBe(0);
  });
});

describe('a nats-server that is not reachable', () => {
  it('is reported in one sentence, with exit code 1', async () => {
    expect((await fleet.down()).exitCode).toBe(0);
    const { exitCode, stdout, stderr } = await fleet.ka('status');
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^ka: nats-server at nats:\/\/127\.0\.0\.1:\d+ can't be reached: [^\n]+$/);
  });
});
