import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { replayCheck } from '../coordinator/replay.ts';
import { foldLog } from '../coordinator/session.ts';
import type { LoggedEvent } from '../eventlog/check-event.ts';
import { type Envelope, type NewEvent, parseEvent, subjectOf } from '../schemas/events.ts';

const folder = join(import.meta.dirname, 'histories');

/** A history as `ka log --json` printed it: an envelope a line, with its sequence. */
const readHistory = (name: string): LoggedEvent[] =>
  readFileSync(join(folder, `${name}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const { sequence, ...envelope } = JSON.parse(line) as Envelope & { sequence: number };
      const bytes = new TextEncoder().encode(JSON.stringify(envelope));
      const event = parseEvent(bytes);
      const host = event.kind === 'step' && 'host' in event.data ? event.data.host : undefined;
      const named = { ...envelope, ...(host === undefined ? {} : { host }) } as NewEvent;
      return { sequence, subject: subjectOf(envelope.fleet, envelope.source, named), bytes, event };
    });

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
    expect(readdirSync(folder).sort()).toEqual(
      Object.keys(ends)
        .map((name) => `${name}.jsonl`)
        .sort(),
    );
  });
});
