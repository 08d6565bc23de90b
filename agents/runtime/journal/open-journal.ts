import { existsSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../ports.ts';
import type { Trouble } from '../trouble.ts';
import { JournalCorrupt } from './database.ts';
import { Journal } from './journal.ts';
import { isNoRoom } from './no-room.ts';

const againAfterMs = 1_000;

/** The message about a journal's full disk. */
export const noRoomFor = (file: string, error: unknown): string =>
  `the journal ${file} can't be written (${error instanceof Error ? error.message : error}): make room in ${dirname(file)}; until then nothing new is begun`;

/** A journal's path, and what is needed to wait for room on its disk. */
export interface JournalPlace {
  file: string;
  trouble: Trouble;
  clock: Pick<Clock, 'pause'>;
  signal: AbortSignal;
}

/**
 * Runs work that writes to the journal, and repeats it until the disk has room. @throws the signal's reason, and what
 * else `work` throws.
 */
export const onceThereIsRoom = async <Result>(
  { file, trouble, clock, signal }: JournalPlace,
  work: () => Result,
): Promise<Result> => {
  for (;;) {
    try {
      const result = work();
      trouble.set('disk', null);
      return result;
    } catch (error) {
      if (!isNoRoom(error)) throw error;
      trouble.set('disk', noRoomFor(file, error));
    }
    await clock.pause(againAfterMs, signal);
    signal.throwIfAborted();
  }
};

/** Moves a broken journal aside, with SQLite's files beside it. @returns its new name. */
const moveAside = (file: string): string => {
  let number = 1;
  while (existsSync(`${file}.corrupt-${number}`)) number += 1;
  const aside = `${file}.corrupt-${number}`;
  for (const part of ['-wal', '-shm', ''])
    if (existsSync(`${file}${part}`)) renameSync(`${file}${part}`, `${aside}${part}`);
  return aside;
};

/**
 * Opens a host's journal. A corrupt one is moved aside and a new one begun, for which the content is later taken back
 * from the log. Waits while the disk is full.
 */
export const openJournal = (place: JournalPlace, say: (text: string) => void): Promise<Journal> =>
  onceThereIsRoom(place, () => {
    const { file } = place;
    try {
      return new Journal(file);
    } catch (error) {
      if (!(error instanceof JournalCorrupt)) throw error;
      say(`the journal is corrupt and was moved to ${moveAside(file)}: ${error.message}`);
      return new Journal(file);
    }
  });
