import { describe, expect, it } from 'vitest';
import { foldLog } from '../coordinator/commands/session.ts';
import { replayCheck } from '../coordinator/reading/replay.ts';
import { verifyLog } from '../coordinator/reading/verify-log.ts';
import { historyNames, readHistory } from '../coordinator/testing/recorded-history.ts';
import type { LoggedEvent } from '../schemas/events.ts';
import { waysToEnd } from './histories/ways-to-end.ts';

/** The end of each history: its status and the reason's code, and an event that the history has to hold. */
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

// Old logs stay readable, and today's code decides the same as then. Each history is an export of a real run, with its
// signatures; a new shape of event comes with its own history.
describe('a recorded history', () => {
  it.each(Object.entries(ends))(
    '%s passes the check of its signatures, ends as stated, and is decided as it was',
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

  it('exists for every way to end, and its end is stated here', () => {
    expect(Object.keys(waysToEnd)).toEqual(Object.keys(ends));
    expect(historyNames()).toEqual(Object.keys(ends).sort());
  });
});
