import { setTimeout as sleep } from 'node:timers/promises';
import { createRun } from '../../../host/run.ts';
import type { BoardConfig } from '../../../schemas/config.ts';
import { patienceMs } from '../../../test/patience.ts';
import { systemClock } from '../../runtime/system-clock.ts';
import { watchDeadline } from '../deadline/watch-deadline.ts';
import { createWatchedBoard } from '../deadline/watched-board.ts';

/**
 * Watches a board's deadline, as one boot's process, until a condition holds. The watch has ended when this returns or
 * throws.
 * @param notes the watch's notes are added to it.
 * @throws {Error} with the notes, if the condition does not hold in time.
 */
export const watchUntil = async (
  host: BoardConfig,
  what: string,
  holds: () => Promise<boolean> | boolean,
  {
    notes = [],
    rebootWithinMs = 60_000,
    withinMs = patienceMs,
  }: { notes?: string[]; rebootWithinMs?: number; withinMs?: number } = {},
): Promise<void> => {
  const stop = new AbortController();
  const note = (line: string) => void notes.push(line);
  const board = createWatchedBoard({ host, run: createRun(note, stop.signal), note });
  const times = { everyMs: 20, pauseMs: 20, rebootWithinMs };
  const watching = watchDeadline({ board, clock: systemClock, note, signal: stop.signal, ...times });
  try {
    for (const end = Date.now() + withinMs; !(await holds()); await sleep(10))
      if (Date.now() > end) throw new Error(`${what}: not within ${withinMs} ms: ${notes.join('\n')}`);
  } finally {
    stop.abort();
    await watching;
  }
};
