import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { patienceMs } from '../../test/patience.ts';
import { type KeptProcess, keepProcess } from './kept-process.ts';
import { isRunning } from './process-identity.ts';
import { descendantsOf } from './process-tree.ts';

let folder: string;
let kept: KeptProcess;
const keep = (...argv: string[]) => {
  kept = keepProcess({ argv: () => argv, logFile: join(folder, 'log') }, () => undefined);
  kept.start();
};
const pid = (): number => {
  const { identity } = kept;
  if (!identity) throw new Error('it is down');
  return identity.pid;
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-kept-'));
});
afterEach(async () => {
  await kept.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** A machine may be busy. */
const soon = (check: () => void) => vi.waitFor(check, { timeout: patienceMs, interval: 5 });

test('a killed process starts again at once, however often', async () => {
  keep('sleep', '60');
  const since = Date.now();
  for (let round = 1; round <= 8; round++) {
    process.kill(pid(), 'SIGKILL');
    await soon(() => expect(kept.restarts).toBe(round));
    expect(pid()).toBeGreaterThan(0);
  }
  expect(Date.now() - since).toBeLessThan(20_000); // with the pauses of one that fails it takes half a minute
});

test('a process that fails by itself is restarted after ever longer pauses', async () => {
  keep('sh', '-c', 'date +%s%N; exit 1');
  const came = () =>
    readFileSync(join(folder, 'log'), 'utf8')
      .trim()
      .split('\n')
      .map((ns) => Number(ns) / 1e6);
  await soon(() => expect(came().length).toBeGreaterThanOrEqual(3));
  const [first = 0, second = 0, third = 0] = came();
  expect(second - first).toBeGreaterThan(450);
  expect(third - second).toBeGreaterThan(950);
  await soon(() => expect(kept.why).toBe('ended with exit code 1'));
});

test('a process that ends with exit code 78 stays down until it is started', async () => {
  keep('sh', '-c', 'echo came; exit 78');
  await soon(() => expect(kept.why).toBe('ended with exit code 78 and stays down'));
  await sleep(700);
  expect(kept).toMatchObject({ restarts: 0, identity: undefined });
  kept.start();
  await soon(() => expect(readFileSync(join(folder, 'log'), 'utf8')).toBe('came\ncame\n'));
});

test('a kill also ends its children, even those in their own groups and sessions', async () => {
  keep('sh', '-c', 'setsid sh -c "trap : TERM; sleep 60 & wait" & sleep 61 & wait');
  await soon(() => expect(descendantsOf(pid())).toHaveLength(3));
  const all = descendantsOf(pid());
  expect(all.every(isRunning)).toBe(true);
  await kept.kill();
  await soon(() => expect(all.filter(isRunning)).toEqual([]));
  expect(kept).toMatchObject({ restarts: 0, identity: undefined });
});
