import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { replayCheck } from '../coordinator/replay.ts';
import { foldLog } from '../coordinator/session.ts';
import { historiesFolder, readHistory } from '../coordinator/testing/recorded-history.ts';

// What was once in a log stays readable, and today's code decides what was decided then. A file here is never
// changed: a new shape of event comes with a history of its own.
describe('a recorded history', () => {
  const ends: Record<string, { status: string }> = {
    closed: { status: 'closed' },
    'rolled-back': { status: 'failed' },
    // By the second rules: the key is tried first, the kernel confirmed last.
    confirmed: { status: 'closed' },
    // Its board went back on its own; then its log was restored.
    'went-back': { status: 'failed' },
  };

  it.each(Object.keys(ends))('%s ends as it did, and is decided again as it was', (name) => {
    const events = readHistory(name);
    expect(foldLog(events).iterations.get('iter5')?.ended?.status).toBe(ends[name]?.status);
    const { mismatches, decided } = replayCheck(events);
    expect(mismatches).toEqual([]);
    expect(decided).toBeGreaterThan(10);
  });

  it('has its end stated here', () => {
    expect(readdirSync(historiesFolder).sort()).toEqual(
      Object.keys(ends)
        .map((name) => `${name}.jsonl`)
        .sort(),
    );
  });
});
