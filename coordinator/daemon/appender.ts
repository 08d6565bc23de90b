import { createSayOnce } from '../../eventlog/say-once.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import { AppendConflict } from '../../eventlog/stream/event-log.ts';
import { parseSubject } from '../../schemas/events.ts';
import type { CoordinatorPorts } from './ports.ts';

/**
 * What came of an append: the sequence, if it was appended; `taken` if an event that does not count occupies the subject, so
 * that it never can be; undefined if the log has moved on, or did not answer: then it is decided again.
 */
export type AppendResult = number | 'taken' | undefined;

/**
 * Appends events that were decided of a state, and tells what is in the way.
 * @param onBack is called when the log takes an event again, after it has answered nobody for a while.
 */
export const createAppender = (
  { log, say, failpoint }: Pick<CoordinatorPorts, 'log' | 'say' | 'failpoint'>,
  { onBack, signal }: { onBack: () => void; signal: AbortSignal },
) => {
  const [appending, taken] = [createSayOnce(say), createSayOnce(say)];
  /** @param decidedAt the last sequence of the state that it was decided of. */
  return async (sealed: SealedEvent, decidedAt: number): Promise<AppendResult> => {
    const type = parseSubject(sealed.subject)?.type ?? '';
    try {
      failpoint(`before ${type}`);
      const appended = await log.append(sealed, decidedAt);
      failpoint(`after ${type}`);
      if (appended.outcome === 'there' && appended.sequence <= decidedAt) {
        const there = `${sealed.subject} is there, at sequence ${appended.sequence}, and does not count: see ka audit --verify`;
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
