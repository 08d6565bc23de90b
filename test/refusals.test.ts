import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type KaRan, ka } from './ka.ts';
import { type PlanVariant, planVariant } from './plan-variant.ts';
import { startTestFleet, type TestFleet } from './test-fleet.ts';

const helper = '0001-media-videobuf2-add-dma_resv-release-fence-helper.patch';
const rga = '0003-media-rockchip-rga-attach-dma_resv-release-fence-at-buf_queue.patch';
const rkvdec = '0004-media-rkvdec-attach-dma_resv-release-fence-at-buf_queue.patch';
const baselineCommit = '4fd299597e01d6cd0f6b1e1eb3fd406bc090e073';

let fleet: TestFleet;
let before: Awaited<ReturnType<TestFleet['world']>>;

beforeAll(async () => {
  fleet = await startTestFleet('refusals');
  before = await fleet.world();
}, 60_000);
afterAll(() => fleet.remove(), 60_000);

const variant = (asked: PlanVariant) => planVariant(fleet.folder, asked);

/** Bad input, or bad use: exit code 2, nothing on standard output, and what is wrong without a stack trace. */
const expectRefused = ({ exitCode, stdout, stderr }: KaRan, wanted: RegExp) => {
  expect(stderr).toMatch(wanted);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
};

describe('a plan', () => {
  const cases: {
    has: string;
    change: Omit<PlanVariant, 'iteration'>;
    /** A patch file to take away. */
    without?: string;
    /** The text of the plan at which the fault is told, and the fault. */
    at: string;
    fault: string;
  }[] = [
    {
      has: 'an unknown key',
      change: { plan: [['title: ', 'titel: a fence\ntitle: ']] },
      at: 'titel',
      fault: 'unknown key "titel"',
    },
    {
      has: 'a patch file that is not there',
      change: {},
      without: rkvdec,
      at: rkvdec,
      fault: `patch ${rkvdec}: there is no patches/${rkvdec}`,
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
      fault: 'clauses[5].proof: a clause needs at least one check on evidence',
    },
    {
      has: 'an empty patch',
      change: { variant: 'empty' },
      at: rkvdec,
      fault: `patch ${rkvdec} is empty: it holds no diff`,
    },
    {
      has: 'a patch outside the tree',
      change: { variant: 'outside' },
      at: rga,
      fault: `patch ${rga} touches ../../etc/passwd, which is outside the tree`,
    },
  ];

  it.each(cases)(
    'with $has is refused by plan check and by iterate, at its line and column',
    async ({ change, without, at, fault }) => {
      const file = await variant({
        iteration: `bad-${cases.findIndex((one) => one.fault === fault)}`,
        ...change,
      });
      if (without !== undefined) await rm(join(file, '../patches', without));
      const text = await readFile(file, 'utf8');
      const lines = text.slice(0, text.indexOf(at)).split('\n');
      const place = `${file}:${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`;
      for (const { exitCode, stdout, stderr } of await Promise.all([
        fleet.ka('plan', 'check', file),
        fleet.ka('iterate', file, '--watch'),
      ]))
        expect({ exitCode, stdout, stderr }).toEqual({
          exitCode: 2,
          stdout: '',
          stderr: `${place}: ${fault}`,
        });
    },
  );

  it('that is refused leaves nothing in the log', async () => {
    const events = await fleet.events();
    expect(events.map(({ type }) => type)).toEqual(Array.from({ length: 4 }, () => 'AgentStarted'));
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
    expectRefused(argument, /missing required argument 'iteration'/);
  });

  it('names the iterations there are when it is asked for another', async () => {
    const asked = await Promise.all(
      [
        ['status', 'iter4'],
        ['audit', 'iter4'],
        ['watch', 'iter4'],
        ['approve', 'iter4', '--as', 'sonnet-architect'],
      ].map((args) => fleet.ka(...args)),
    );
    for (const ran of asked) expectRefused(ran, /^ka: there is no iteration "iter4"; the log holds:? none/);
  });
});

describe('an iteration', () => {
  it('whose series conflicts stops at preflight, naming patch, file and hunk; no host has changed', async () => {
    const ran = await fleet.carry(await variant({ iteration: 'conflict', variant: 'conflict' }));
    expect(ran.exitCode).toBe(1);
    expect(ran.stdout).toMatch(
      new RegExp(
        `FAILED: preflight on boltzmann: .* patch ${helper} conflicts in drivers/media/common/videobuf2/videobuf2-core\\.c at @@ -11,6 `,
      ),
    );
    const types = (await fleet.events('conflict')).map(({ type }) => type);
    expect(types).toEqual(['IterationStarted', 'PreflightRequested', 'PreflightFailed', 'IterationFailed']);
    expect(await fleet.world()).toEqual(before);
  });

  it('whose baseline tag has moved fails in preflight, naming both commits', async () => {
    const planned = '0123456789012345678901234567890123456789';
    const ran = await fleet.carry(await variant({ iteration: 'moved', plan: [[baselineCommit, planned]] }));
    expect(ran.exitCode).toBe(1);
    expect(ran.stdout).toMatch(/ moved preflight FAILED on boltzmann: /);
    expect(ran.stdout).toContain(planned);
    expect(ran.stdout).toContain(baselineCommit);
    expect(await fleet.world()).toEqual(before);
  });

  it("whose PKGBUILD does not parse fails in preflight, in bash's words", async () => {
    const clone = join(fleet.folder, 'packages');
    const pkgbuild = join(clone, 'arch/linux-fresnel-fourier/PKGBUILD');
    const git = (...args: string[]) =>
      execa('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.org', '-C', clone, ...args]);
    await execa('git', ['clone', '--quiet', fleet.places.repository('marfrit-packages'), clone]);
    const text = await readFile(pkgbuild, 'utf8');
    await writeFile(pkgbuild, text.replace('prepare() {', 'prepare() {{'));
    await git('commit', '--quiet', '-am', 'break it');
    await git('push', '--quiet');
    try {
      const ran = await fleet.carry(await variant({ iteration: 'broken' }));
      expect(ran.exitCode).toBe(1);
      expect(ran.stdout).toMatch(/ broken preflight FAILED on boltzmann: .*PKGBUILD.*syntax error/);
    } finally {
      await git('revert', '--no-edit', 'HEAD');
      await git('push', '--quiet');
    }
    expect((await fleet.world()).board).toEqual(before.board);
  });
});

describe('two ka iterate of one iteration at once', () => {
  let ran: KaRan[];
  let file: string;

  beforeAll(async () => {
    file = await variant({ iteration: 'twins' });
    ran = await Promise.all([fleet.ka('iterate', file), fleet.ka('iterate', file, '--as', 'somebody')]);
  });

  it('start it once: one wins', async () => {
    expect(ran.map(({ exitCode }) => exitCode).sort()).toEqual([0, 2]);
    expect(ran.find(({ exitCode }) => exitCode === 0)?.stdout).toBe('twins started; see: ka watch twins');
    const lost = ran.find(({ exitCode }) => exitCode === 2);
    expect(lost?.stderr).toMatch(/^ka: (iteration "twins" exists already|somebody else did the same)/);
    const started = (await fleet.events('twins')).filter(({ type }) => type === 'IterationStarted');
    expect(started).toHaveLength(1);
  });

  it('leave one that is there: a third is refused', async () => {
    const again = await fleet.ka('iterate', file, '--watch');
    expectRefused(
      again,
      /^ka: iteration "twins" exists already, started .* by .*; give the plan another name$/,
    );
  });

  it('leave one that a rejection ends, and that nobody else can approve', async () => {
    await expect
      .poll(async () => (await fleet.events('twins')).map(({ type }) => type), { timeout: 25_000 })
      .toContain('ReviewRequested');
    const [stranger, unexplained, clause, reasonless] = await Promise.all([
      fleet.ka('approve', 'twins', '--as', 'mallory', '-m', 'fine'),
      fleet.ka('waive', 'twins', 'C11'),
      fleet.ka('waive', 'twins', 'C99', '-m', 'why not'),
      fleet.ka('reject', 'twins', '--as', 'sonnet-architect'),
    ]);
    expectRefused(
      stranger,
      /^ka: the plan of twins does not ask for the review of "mallory"; it asks for sonnet-architect$/,
    );
    expectRefused(unexplained, /^ka: ka waive needs a reason: -m WHY$/);
    expectRefused(clause, /^ka: the plan of twins has no clause "C99"; it has C1, /);
    expectRefused(reasonless, /^ka: ka reject needs a reason: -m WHY$/);

    const reject = await fleet.ka('reject', 'twins', '--as', 'sonnet-architect', '-m', 'it leaks a fence');
    expect(reject.exitCode).toBe(0);
    const watched = await fleet.ka('watch', 'twins');
    expect(watched.exitCode).toBe(1);
    expect(watched.stdout).toContain(
      'twins FAILED: review: sonnet-architect rejected it: it leaks a fence. Go back to: phase 0',
    );
    const types = (await fleet.events('twins')).map(({ type }) => type);
    expect(types).not.toContain('LandRequested');
  }, 40_000);
});

describe('a build that fails', () => {
  let ran: KaRan;

  beforeAll(async () => {
    const plan = await variant({
      iteration: 'typo',
      patches: {
        [rkvdec]: [
          ['+	(void)vb2_buffer_attach_release_fence(vb);', '+	(void)vb2_buffer_attach_release_fence(vb)'],
        ],
      },
    });
    ran = await fleet.carry(plan);
  }, 60_000);

  it("shows the compiler's last lines, and ends the iteration with exit code 1", () => {
    expect(ran.exitCode).toBe(1);
    expect(ran.stdout).toMatch(/ typo build FAILED on boltzmann: /);
    expect(ran.stdout).toMatch(/^ {4}.*rkvdec\.c:\d+:\d+: error: expected .;. before /m);
    expect(ran.stdout).toMatch(/^\S+ typo FAILED: build on boltzmann: /m);
  });

  it('leaves the board as it was, and rolls nothing back', async () => {
    const { board, view, served } = await fleet.world();
    expect({ board, view, served }).toEqual({
      board: before.board,
      view: before.view,
      served: before.served,
    });
    const types = (await fleet.events('typo')).map(({ type }) => type);
    expect(types).not.toContain('InstallRequested');
    expect(types).not.toContain('RollbackRequested');
  });

  it('can be tried again: the build alone is asked for anew, and the iteration runs until it is aborted', async () => {
    const last = await fleet.lastSequence();
    expect((await fleet.ka('retry', 'typo')).exitCode).toBe(0);
    const [status, abort] = await Promise.all([
      fleet.ka('replay', '--at', String(last + 1), '--json'),
      fleet.ka('abort', 'typo', '-m', 'the patch lacks a semicolon'),
    ]);
    expect(JSON.parse(status.stdout).iterations.typo.ended).toBeUndefined();
    const watched = await fleet.ka('watch', 'typo');
    expect(watched.exitCode).toBe(1);
    const asked = (await fleet.events('typo', '--since', String(last + 1))).map(({ type }) => type);
    expect(asked.slice(0, 2)).toEqual(['RetryAsked', 'BuildRequested']);
    expect(asked).not.toContain('PreflightRequested');
    expect(asked).not.toContain('LandRequested');
    expect(abort.exitCode).toBe(0);
    expect(asked.at(-1)).toBe('IterationAborted');
  });
});

describe('what the log says of all these', () => {
  it('is decided again as it was', async () => {
    const { exitCode, stdout } = await fleet.ka('replay', '--check', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ mismatches: [] });
    expect(exitCode).toBe(0);
  });
});

describe('a nats-server that is not reachable', () => {
  it('is said in one sentence, with exit code 1', async () => {
    expect((await fleet.down()).exitCode).toBe(0);
    const { exitCode, stdout, stderr } = await fleet.ka('status');
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^ka: nats-server at nats:\/\/127\.0\.0\.1:\d+ can't be reached: [^\n]+$/);
  }, 30_000);
});
