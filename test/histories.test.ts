import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { foldLog } from '../coordinator/commands/session.ts';
import { isBad, readEventRecords } from '../coordinator/export/event-records.ts';
import { replayCheck } from '../coordinator/reading/replay.ts';
import { verifyLog } from '../coordinator/reading/verify-log.ts';
import { historiesFolder, readHistory } from '../coordinator/testing/recorded-history.ts';
import { readConfigFile } from '../eventlog/files/config-file.ts';
import { trustIn } from '../eventlog/signing/trust.ts';
import { createVerifier } from '../eventlog/signing/verifier.ts';
import { isWithheld } from '../eventlog/tree/log-tree.ts';
import { Fleet } from '../schemas/fleet.ts';

// What was once in a log stays readable, and today's code decides what was decided then. A file here is never
// changed: a new shape of event comes with a history of its own.
const attested = 'attested';

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

  // By the third rules: signed, attested, approved until some day, with checkpoints. It is kept as an export, signatures and all.
  it('attested is what it was signed as, ends as it did, and is decided again as it was', () => {
    const { header, records } = readEventRecords(
      readFileSync(join(historiesFolder, `${attested}.events.jsonl`)),
    );
    const trust = trustIn(readConfigFile(join(historiesFolder, `${attested}.fleet.yaml`), Fleet));
    const all = [...records];
    expect(verifyLog(trust, { header, records: all })).toMatchObject({
      events: 35,
      checkpoints: 1,
      faults: [],
    });
    const verifier = createVerifier(trust);
    const events = all.flatMap((record) => {
      const verified = isBad(record) || isWithheld(record) ? undefined : verifier.verify(record);
      return verified && 'logged' in verified ? [verified.logged] : [];
    });
    expect(foldLog(events).iterations.get('iter5')?.ended?.status).toBe('closed');
    expect(replayCheck(events).mismatches).toEqual([]);
  });

  it('has its end stated here', () => {
    expect(readdirSync(historiesFolder).sort()).toEqual(
      [
        ...Object.keys(ends).map((name) => `${name}.jsonl`),
        `${attested}.events.jsonl`,
        `${attested}.fleet.yaml`,
      ].sort(),
    );
  });
});
