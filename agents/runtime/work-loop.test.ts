import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import { generateWriterKey, readWriterKey } from '../../eventlog/signing/writer-key.ts';
import { parseEvent } from '../../schemas/events.ts';
import { until } from '../../test/log-server.ts';
import { createAttest } from './attest.ts';
import { StepFailed, Superseded } from './errors.ts';
import { Journal } from './journal/journal.ts';
import { createOutbox } from './outbox.ts';
import type { StepContext } from './step.ts';
import { systemClock } from './system-clock.ts';
import { createWorkLoop, type WorkLoop } from './work-loop.ts';
import { createWorkplace } from './workplace.ts';

const key = readWriterKey(generateWriterKey());
const sha1 = 'a'.repeat(40);
const evidence = {
  commit: {
    repository: 'campaign',
    branch: 'main',
    parent: sha1,
    commit: sha1,
    files: [{ path: 'close.md', sha256: 'a'.repeat(64) }],
  },
};

let folder: string;
let journal: Journal;
let controller: AbortController;
let looping: Promise<void> | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-work-'));
  journal = new Journal(join(folder, 'journal.db'));
});
afterEach(async () => {
  await stop();
  journal.close();
  rmSync(folder, { recursive: true, force: true });
});
const stop = async () => {
  controller?.abort();
  await looping;
};

type Does = (context: StepContext<null, 'commit'>) => unknown;
const troubles: string[] = [];
const told: string[] = [];
const start = (record: Does, more: Partial<Parameters<typeof createWorkLoop<null>>[0]> = {}): WorkLoop => {
  controller = new AbortController();
  troubles.length = 0;
  told.length = 0;
  const work = createWorkLoop<null>({
    journal,
    // There is no connection, so that outcomes stay where the test can read them.
    outbox: createOutbox({
      journal,
      log: () => undefined,
      clock: systemClock,
      signal: controller.signal,
      writer: { fleet: 'test', name: 'boltzmann', keyFor: () => key },
      onTrouble: (what) => told.push(what),
    }),
    steps: { record: async (_request, context) => (await record(context)) as typeof evidence },
    host: null,
    attest: createAttest(key),
    trust: { fleet: 'test', writers: new Map(), approvals: 1, authorMayApprove: false },
    clock: systemClock,
    workplace: createWorkplace(folder),
    outputOf: () => ({ write: () => undefined, end: () => undefined }),
    onRunning: () => undefined,
    onTrouble: (what) => troubles.push(what),
    signal: controller.signal,
    ...more,
  });
  looping = work.run();
  return work;
};

const note = (attempt = 1, step: 'record' | 'land' = 'record', needs?: string[]) => {
  const data =
    step === 'record'
      ? {
          repository: 'campaign',
          branch: 'main',
          title: 't',
          files: [{ path: 'close.md', content: { as: 'note', facts: '0'.repeat(64), text: 'x' } }],
        }
      : {};
  const { bytes } = sealEvent(
    {
      type: 'RecordRequested',
      iteration: 'iter5',
      attempt,
      host: 'boltzmann',
      data: { host: 'boltzmann', request: data, ...(needs ? { needs } : {}) },
    },
    { fleet: 'test', name: 'coordinator', key },
    undefined,
    '2026-05-11T08:00:00Z',
  );
  journal.requests.note({ iteration: 'iter5', step, attempt, bytes, eventId: `coordinator/${attempt}` });
};
const outcome = () =>
  until(() => {
    const sealed = journal.outbox.nextUnsent();
    if (!sealed) return undefined;
    const event = parseEvent(sealed.bytes);
    return { type: event.type, attempt: event.attempt, data: event.data as Record<string, unknown> };
  });
const workFolder = (attempt = 1) => join(folder, 'work', `record.iter5.${attempt}`);
const once = { probe: () => ({ happened: 'no' }) as const, act: () => 1 };

describe('a step', () => {
  it('that succeeds answers with its evidence; its folder is there until then', async () => {
    note();
    start(({ workFolder: own }) => {
      writeFileSync(join(own, 'file'), 'x');
      return evidence;
    });
    expect(await outcome()).toMatchObject({
      type: 'RecordSucceeded',
      data: { evidence, seconds: expect.any(Number) },
    });
    await until(() => !existsSync(workFolder()));
  });

  it('that needs something that this version does not know fails before any effect', async () => {
    note(1, 'record', ['two-boards']);
    let begun = false;
    start(async ({ effect }) => {
      begun = true;
      await effect('commit', once);
      return evidence;
    });
    expect(await outcome()).toMatchObject({
      type: 'RecordFailed',
      data: {
        fault: 'host',
        code: 'too-old',
        begun: [],
        reason: expect.stringMatching(/two-boards.*upgrade/),
      },
    });
    expect(begun).toBe(false);
  });

  it('that has failed reports why, what it had begun, and its last lines, each cut to what fits into the log', async () => {
    note();
    start(async ({ effect, note: say }) => {
      await effect('commit', once);
      for (let n = 1; n <= 40; n += 1) say(`${n}${'x'.repeat(100_000)}`);
      throw new StepFailed('work', 'no such commit', { seen: { half: true } });
    });
    const { type, data } = await outcome();
    expect(type).toBe('RecordFailed');
    expect(data).toMatchObject({
      fault: 'work',
      reason: 'no such commit',
      begun: ['commit'],
      seen: { half: true },
    });
    const output = data.output as string[];
    expect(output).toHaveLength(30);
    expect(output.at(-1)).toBe('no such commit');
    expect(Math.max(...output.map((line) => line.length))).toBe(1_000);
    await until(() => !existsSync(workFolder()));
  });

  it('that shows no evidence, or more than the log takes, has failed at once', async () => {
    note(1);
    start(() => ({ commit: 'none' }));
    expect((await outcome()).data).toMatchObject({
      fault: 'host',
      reason: expect.stringContaining('the evidence of record does not fit its schema'),
      begun: [],
    });
    journal.outbox.markSent(1);
    await stop();
    note(2);
    // It is longer than a blob may be, and its parts are too short to be put aside.
    const files = Array.from({ length: 100_000 }, () => evidence.commit.files[0]);
    start(() => ({ commit: { ...evidence.commit, files } }));
    expect((await outcome()).data).toMatchObject({
      reason: expect.stringMatching(/RecordSucceeded of iter5 has \d+ bytes/),
    });
    journal.outbox.markSent(2);
    await stop();
    note(3);
    start(() => {
      throw new StepFailed('work', 'too much was seen', { seen: files });
    });
    expect((await outcome()).data).toMatchObject({ reason: 'too much was seen' });
  });

  it('that this host does not have, or whose request can’t be read, has failed', async () => {
    note(1, 'land');
    start(() => evidence);
    expect(await outcome()).toMatchObject({
      type: 'LandFailed',
      data: { reason: 'this host has no step land' },
    });
    journal.outbox.markSent(1);
    await stop();
    const bytes = new TextEncoder().encode('no JSON');
    journal.requests.note({ iteration: 'iter5', step: 'record', attempt: 2, bytes, eventId: 'x' });
    start(() => evidence);
    expect((await outcome()).data.reason).toMatch(/^the journal's request can't be read: .*JSON/);
  });

  it('that throws anything else is tried again, after a longer pause each time, and goes on where it was', async () => {
    note();
    const at: number[] = [];
    let acted = 0;
    const work = start(async ({ effect }) => {
      at.push(Date.now());
      await effect('commit', { ...once, act: () => ++acted });
      if (at.length < 3) throw new Error('the disk hiccups');
      return evidence;
    });
    await until(() => at.length > 0);
    work.wake(); // another request does not shorten the pause
    expect(await outcome()).toMatchObject({ type: 'RecordSucceeded' });
    const [first = 0, second = 0, third = 0] = at;
    expect(second - first).toBeGreaterThanOrEqual(490);
    expect(third - second).toBeGreaterThanOrEqual(990);
    expect(acted).toBe(1);
    expect(troubles).toEqual(['iter5 record 1, try 1 of 6', 'iter5 record 1, try 2 of 6']);
  });

  it('that throws at its last try has failed', async () => {
    note();
    for (let tried = 0; tried < 5; tried += 1)
      journal.requests.noteTry({ iteration: 'iter5', step: 'record', attempt: 1 }, 1);
    start(() => {
      throw new Error('the disk hiccups');
    });
    expect((await outcome()).data).toMatchObject({
      fault: 'host',
      reason: 'the disk hiccups (given up after 6 tries)',
    });
  });

  it('that keeps ending its agent has failed after twenty begins without progress', async () => {
    note();
    const request = { iteration: 'iter5', step: 'record', attempt: 1 } as const;
    for (let begun = 0; begun < 19; begun += 1) journal.requests.noteTry(request, 1);
    let begins = 0;
    const hang: Does = ({ signal }) => {
      begins += 1;
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    start(hang);
    await until(() => begins === 1); // the twentieth may still end properly
    await stop();
    start(hang);
    expect(await outcome()).toMatchObject({
      type: 'RecordFailed',
      data: { fault: 'host', reason: expect.stringMatching(/^begun 20 times and never ended: /) },
    });
    expect(begins).toBe(1);
  });

  it('that is set aside ends without an outcome, even if it completes; its request stays open', async () => {
    note();
    let end: (() => void) | undefined;
    const work = start(
      () =>
        new Promise((resolve) => {
          end = () => resolve(evidence);
        }),
    );
    await until(() => end);
    expect(work.setAside()).toBe(false);
    controller.abort();
    end?.();
    await stop();
    expect(work.setAside()).toBe(true);
    expect(journal.outbox.unsent()).toBe(0);
    expect(journal.requests.next()).toMatchObject({ attempt: 1 });
  });

  it('that was answered in the meantime gets no second outcome', async () => {
    note(1);
    start(() => {
      journal.requests.end({ iteration: 'iter5', step: 'record', attempt: 1 });
      note(2);
      return evidence;
    });
    expect(await outcome()).toMatchObject({ attempt: 2 });
    expect(told).toEqual(['RecordSucceeded of iter5 1 is dropped: this record already has an answer']);
  });

  it('whose effect nobody can judge has failed, with its host at fault', async () => {
    note();
    journal.effects.noteIntent({ iteration: 'iter5', step: 'record', attempt: 1 }, 'commit', 'null');
    start(({ effect }) =>
      effect('commit', { ...once, probe: () => ({ happened: 'unknown', why: 'no trace' }) }),
    );
    expect((await outcome()).data).toMatchObject({
      fault: 'host',
      reason: expect.stringMatching(/no trace$/),
    });
  });

  it.each(['while it runs', 'in the pause before a new try'])(
    'superseded %s ends without an outcome',
    async (when) => {
      note(1);
      const first = { iteration: 'iter5', step: 'record', attempt: 1 } as const;
      // The pause after the next try is eight seconds.
      for (let tried = 0; tried < 4; tried += 1) journal.requests.noteTry(first, 1);
      let begun = false;
      const work = start(async ({ attempt, signal }) => {
        if (attempt === 2) return evidence;
        begun = true;
        if (when !== 'while it runs') throw new Error('the disk hiccups');
        return new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason)),
        );
      });
      await until(() => begun && (when === 'while it runs' || troubles.length > 0));
      note(2);
      journal.requests.noteSuperseded(first);
      const at = Date.now();
      work.wake(first);
      expect(await outcome()).toMatchObject({ type: 'RecordSucceeded', attempt: 2 });
      expect(Date.now() - at).toBeLessThan(7_000);
      expect(journal.outbox.unsent()).toBe(1);
    },
  );

  it('stopped in the middle leaves its request open, and its folder', async () => {
    note();
    let reason: unknown;
    start(async ({ signal }) => {
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reason = signal.reason;
          reject(signal.reason);
        });
        setTimeout(() => controller.abort(), 10);
      });
    });
    await looping;
    expect(reason).toBeInstanceOf(Superseded);
    expect(journal.outbox.unsent()).toBe(0);
    expect(journal.requests.next()).toMatchObject({ attempt: 1, tries: 1 });
    expect(existsSync(workFolder())).toBe(true);
  });
});

describe('the disks', () => {
  const cleaned: (string | undefined)[] = [];
  const clean = async (after: { step: string } | undefined) => void cleaned.push(after?.step);
  beforeEach(() => {
    cleaned.length = 0;
  });

  it('are cleaned at the start, after an attempt, and when something is not needed any more; never while one runs', async () => {
    let during: number | undefined;
    const work = start(
      () => {
        work.tidy();
        during = cleaned.length;
        return evidence;
      },
      { clean },
    );
    await until(() => cleaned.length === 1);
    note();
    work.wake();
    await until(() => cleaned.length === 2);
    expect(during).toBe(1);
    work.tidy();
    await until(() => cleaned.length === 3);
    expect(cleaned).toEqual([undefined, 'record', undefined]);
  });

  it('wait for an attempt that a restart has cut', async () => {
    note();
    const [attempt] = journal.requests.open();
    if (attempt) journal.requests.noteTry(attempt, 1);
    start(() => evidence, { clean });
    await until(() => cleaned.length === 1);
    expect(cleaned).toEqual(['record']);
  });

  it('are left alone while the journal may lack something', async () => {
    let isHeld = true;
    const work = start(() => evidence, { clean, isHeld: () => isHeld });
    work.tidy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(cleaned).toEqual([]);
    isHeld = false;
    work.wake();
    await until(() => cleaned.length === 1);
  });
});
