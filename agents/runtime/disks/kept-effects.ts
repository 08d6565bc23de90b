import type { Limit } from '../../../schemas/limits.ts';
import type { Journal } from '../journal/journal.ts';
import type { Keeping } from './kept.ts';

/**
 * What the effects of ended iterations have found and given: nothing asks for it any more. Requests, supersessions, own
 * events and what these have put aside stay: by them a message that comes once more is known again, and a lost log is
 * put together again.
 */
export const keptEffects = (journal: Journal, limit: Limit): Keeping => ({
  kind: 'effects',
  limit,
  list: async ({ isOpen }) =>
    journal.effects.perIteration().map(({ iteration, at, bytes }) => ({
      name: iteration,
      at,
      isNeeded: isOpen(iteration),
      size: { bytes },
      remove: async () => journal.effects.forget(iteration),
    })),
});
