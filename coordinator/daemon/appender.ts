import { createSayOnce } from '../../eventlog/say-once.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import { AppendConflict } from '../../eventlog/stream/event-log.ts';
import { parseSubject } from '../../schemas/events.ts';
import type { CoordinatorPorts } from './ports.ts';

/**
 * The result of an append: the sequence, if the event was appended; `taken` if an event that we reject occupies the
 * subject, so that a retry can't help; undefined if the log has moved on or did not answer: then the caller decides
 * again.
 */
export type AppendResult = number | 'taken' | undefined;

/**
 * Appends events that were decided on a state, and reports what prevents it.
 * @param onBack called when an append succeeds again after the log did not answer for a while.
 */
export const createAppender = (
  { log, say, failpoint }: Pick<CoordinatorPorts, 'log' | 'say' | 'failpoint'>,
  { onBack, signal }: { onBack: () => void; signal: AbortSignal },
) => {
  const [appending, taken] = [createSayOnce(say), createSayOnce(say)];
  /** @param decidedAt the last sequence of the state on which the event was decided. */
  return async (sealed: SealedEvent, decidedAt: number): Promise<AppendResult> => {
    const type = parseSubject(sealed.subject)?.type ?? '';
    try {
      failpoint(`before ${type}`);
      const appended = await log.append(sealed, decidedAt);
      failpoint(`after ${type}`);
      if (appended.outcome === 'there' && appended.sequence <= decidedAt) {
        const there = `${sealed.subject} is taken by a rejected event, at sequence ${appended.sequence}: see ka audit --verify`;
        taken.trouble(new Error(there), 'ALARM: ');
        return 'taken';
      }
      if (appending.over()) onBack();
      return appended.outcome === 'appended' ? appended.sequence : undefined;
    } catch (error) {
      if (error instanceof AppendConflict) {
        taken.trouble(error, 'ALARM: ');
        return 'taken';
      }
      if (!signal.aborted) appending.trouble(error, `${sealed.subject} could not be appended: `);
      return undefined;
    }
  };
};
