import { createSayOnce } from '../../eventlog/say-once.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';

/** The sentence for a person who follows the log when it is cut. */
export const cutSentence =
  'the log was cut: it no longer holds all that was shown, and goes on with what its writers send again';

/** Remembers what was shown, since all events come again after the log was cut. @returns whether an event is new. */
export const createShown = (): ((logged: LoggedEvent) => boolean) => {
  const shown = new Map<number, string>();
  return ({ sequence, bytes }) => {
    const hash = sha256(bytes);
    if (shown.get(sequence) === hash) return false;
    shown.set(sequence, hash);
    return true;
  };
};

/** Reports the trouble that it waits for, once. */
export const createTrouble = (say: (text: string) => void): ((error: unknown) => void) => {
  const once = createSayOnce(say);
  return (error) => once.trouble(error, 'waits for the log: ');
};
