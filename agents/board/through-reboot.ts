import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { Journal } from '../runtime/journal/journal.ts';

/**
 * Runs a step until the board is in another boot, stops it there as the reboot does, and runs it again as that boot's
 * agent.
 * @param folder The step's journal is there, and is told of both boots.
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
  const ended = expect(step(stop.signal)).rejects.toThrow();
  for (const until = Date.now() + 60_000; bootId() === before && Date.now() < until; ) await sleep(20);
  expect(bootId()).not.toBe(before);
  await sleep(50);
  stop.abort();
  await ended;
  noteBoot();
  return step(new AbortController().signal);
};
