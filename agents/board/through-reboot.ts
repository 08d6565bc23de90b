import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { Journal } from '../runtime/journal/journal.ts';

/**
 * Runs a step until the board is in another boot, stops it there as the reboot would, and runs it again as that boot's
 * agent.
 * @param folder Holds the step's journal, in which both boots are noted.
 */
export const throughReboot = async <Result>(
  { bootIdFile }: { bootIdFile: string },
  folder: string,
  step: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> => {
  const bootId = () => readFileSync(bootIdFile, 'utf8').trim();
  const noteBoot = () => {
    const journal = new Journal(join(folder, 'journal.db'));
    journal.boots.note(bootId());
    journal.close();
  };
  await mkdir(folder, { recursive: true });
  noteBoot();
  const [before, stop] = [bootId(), new AbortController()];
  // If the step ends before that, its error is the cause. If the board never boots, the step is stopped before the
  // error is thrown.
  const ended = step(stop.signal).then(
    () => expect.unreachable('the step ended before the board was in another boot'),
    (error: unknown) => {
      if (bootId() === before) throw error;
    },
  );
  const booted = async () => {
    for (const until = Date.now() + 60_000; bootId() === before && !stop.signal.aborted; await sleep(20))
      if (Date.now() > until) throw new Error(`the board is still in ${before}`);
    await sleep(50);
  };
  try {
    await Promise.race([booted(), ended]);
  } finally {
    stop.abort();
    await ended.catch(() => undefined);
  }
  await ended;
  noteBoot();
  return step(new AbortController().signal);
};
