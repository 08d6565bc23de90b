import { describe, expect, it } from 'vitest';
import { foldLog } from '../coordinator/commands/session.ts';
import { replayCheck } from '../coordinator/reading/replay.ts';
import { verifyLog } from '../coordinator/reading/verify-log.ts';
import { historyNames, readHistory } from '../coordinator/testing/recorded-history.ts';

// What was once in a log stays readable, and today's code decides what was decided then. Each is an export of a real run,
// with its signatures; a new shape of event comes with a history of its own.
const ends: Record<string, string> = {
  closed: 'closed',
};

describe('a recorded history', () => {
  it.each(Object.keys(ends))(
    '%s is what it was signed as, ends as it did, and is decided as it was',
    (name) => {
      const { trust, header, records, events } = readHistory(name);
      expect(verifyLog(trust, { header, records }).faults).toEqual([]);
      const [iteration] = foldLog(events).iterations.values();
      expect(iteration?.ended?.status).toBe(ends[name]);
      const { mismatches, decided, unjudged } = replayCheck(events);
      expect(mismatches).toEqual([]);
      expect(unjudged).toBe(0);
      expect(decided).toBeGreaterThan(3);
    },
  );

  it('has its end stated here', () => {
    expect(historyNames()).toEqual(Object.keys(ends).sort());
  });
});
