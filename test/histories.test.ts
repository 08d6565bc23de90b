import { describe, expect, it } from 'vitest';
import { foldLog } from '../coordinator/commands/session.ts';
import { replayCheck } from '../coordinator/reading/replay.ts';
import { verifyLog } from '../coordinator/reading/verify-log.ts';
import { historyNames, readHistory } from '../coordinator/testing/recorded-history.ts';
import type { LoggedEvent } from '../schemas/events.ts';
import { waysToEnd } from './histories/ways-to-end.ts';

/** How each ends: its status and the reason's code, and an event without which it would be another history. */
const ends: Readonly<Record<string, readonly [end: string, shows: string]>> = {
  closed: ['closed', 'RecordSucceeded'],
  conflict: ['failed/step-failed', 'PreflightFailed'],
  rejected: ['failed/rejected', 'ReviewRejected'],
  'expired-approval': ['aborted/aborted', 'ApprovalExpired'],
  'build-failed': ['failed/step-failed', 'BuildFailed'],
  fallback: ['closed', 'BuildSuperseded'],
  waived: ['closed', 'ClauseWaived'],
  aborted: ['aborted/aborted', 'BuildSuperseded'],
  'sweep-failed': ['failed/check-failed', 'RollbackSucceeded'],
  'fell-back': ['failed/check-failed', 'RebootSucceeded'],
  deadline: ['failed/went-back', 'DeadlinePassed'],
  'board-lost': ['aborted/aborted', 'BoardLost'],
  'restored-log': ['closed', 'LogRestored'],
  'revoked-key': ['closed', 'KeyRevoked'],
  retried: ['closed', 'RetryAccepted'],
  refused: ['refused/may-not-approve', 'IterationRefused'],
};

/** How the iteration of that name ended, or why it never began. */
const endOf = (events: readonly LoggedEvent[], name: string): string | undefined => {
  const { iterations, starts } = foldLog(events);
  const refused = starts.get(name)?.refused;
  if (refused) return `refused/${refused.reason.code}`;
  const ended = iterations.get(name)?.ended;
  return ended && 'reason' in ended ? `${ended.status}/${ended.reason.code}` : ended?.status;
};

// What was once in a log stays readable, and today's code decides what was decided then. Each is an export of a real run,
// with its signatures; a new shape of event comes with a history of its own.
describe('a recorded history', () => {
  it.each(Object.entries(ends))(
    '%s is what it was signed as, ends as it did, and is decided as it was',
    (name, [end, shows]) => {
      const { trust, header, records, withheld, events } = readHistory(name);
      expect(verifyLog(trust, { header, records }).faults).toEqual([]);
      expect(endOf(events, name)).toBe(end);
      expect(events.map(({ event }) => event.type)).toContain(shows);
      const { mismatches, decided, unjudged } = replayCheck(events, withheld);
      expect(mismatches).toEqual([]);
      expect(unjudged).toBe(0);
      expect(decided).toBeGreaterThan(0);
    },
  );

  it('is there for every way to end, and has its end stated here', () => {
    expect(Object.keys(waysToEnd)).toEqual(Object.keys(ends));
    expect(historyNames()).toEqual(Object.keys(ends).sort());
  });
});
