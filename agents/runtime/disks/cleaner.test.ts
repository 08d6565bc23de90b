import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createRun } from '../../../host/run.ts';
import { until } from '../../../test/log-server.ts';
import { Journal } from '../journal/journal.ts';
import { systemClock } from '../system-clock.ts';
import { attemptIn } from './attempt-in.ts';
import { type Cleaner, createCleaner } from './cleaner.ts';
import type { Keeping } from './kept.ts';
import { keptEffects } from './kept-effects.ts';
import { namesIn, removeFolder } from './remove-folder.ts';

const run = createRun(() => undefined);
let folder: string;
let things: string;
let journal: Journal;
let said: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-disks-'));
  things = join(folder, 'things');
  mkdirSync(things);
  journal = new Journal(join(folder, 'journal.db'));
  said = [];
});
afterEach(() => {
  journal.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Asks for an attempt at a place in the log, with an effect, and makes a folder of its own. */
const work = (iteration: string, sequence: number, state: 'done' | 'open' = 'done') => {
  const attempt = { iteration, step: 'build', attempt: 1 } as const;
  const bytes = Buffer.from(iteration);
  journal.requests.note({ ...attempt, eventId: iteration, bytes }, { sequence, signature: 's' });
  journal.requests.noteTry(attempt, sequence);
  journal.effects.noteIntent(attempt, 'packages', '{}');
  journal.effects.noteResult(attempt, 'packages', '{}');
  if (state === 'done') journal.requests.end(attempt);
  mkdirSync(join(things, `${iteration}.1`));
  writeFileSync(join(things, `${iteration}.1`, 'file'), 'x'.repeat(1000));
};

const folders = (list: Keeping['list'] | undefined = undefined): Keeping => ({
  kind: 'folders',
  limit: { number: 1 },
  list:
    list ??
    (async ({ isOpen }) =>
      (await namesIn(run, things)).map((name, index) => ({
        name,
        at: index,
        isNeeded: isOpen(attemptIn(name)?.iteration ?? ''),
        size: { paths: [join(things, name)] },
        remove: () => removeFolder(run, things, name),
      }))),
});

const cleaner = (...keepings: Keeping[]): Cleaner =>
  createCleaner({
    journal,
    keepings: [...keepings, keptEffects(journal, { number: 1 })],
    run,
    clock: systemClock,
    say: (text) => said.push(text),
    signal: new AbortController().signal,
  });
const left = () => readdirSync(things).sort();
const effectsLeft = () => journal.effects.perIteration().map(({ iteration }) => iteration);

it('removes nothing before the coordinator has said what goes on', async () => {
  for (const [name, sequence] of [
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ] as const)
    work(name, sequence);
  await cleaner(folders()).clean(undefined);
  expect(left()).toEqual(['a.1', 'b.1', 'c.1']);
  expect(effectsLeft()).toEqual(['a', 'b', 'c']);
});

it('removes what has ended, the oldest first, and keeps what goes on', async () => {
  for (const [name, sequence] of [
    ['a', 1],
    ['b', 2],
    ['c', 3],
    ['d', 4],
  ] as const)
    work(name, sequence);
  journal.checkpoints.noteTold(4, ['a']);
  await cleaner(folders()).clean(undefined);
  expect(left()).toEqual(['a.1']);
  expect(effectsLeft()).toEqual(['a']);
  expect(said).toEqual([
    'folders: removed b.1, c.1, d.1, over the limit',
    'effects: removed b, c, d, over the limit',
  ]);
});

it('keeps what was asked for later than that, or is open here', async () => {
  work('a', 1);
  work('b', 2, 'open');
  journal.checkpoints.noteTold(2, []);
  work('c', 3);
  await cleaner(folders()).clean(undefined);
  expect(left()).toEqual(['b.1', 'c.1']);
});

it('keeps the events of what it forgets: a request that comes once more is known again', async () => {
  for (const [name, sequence] of [
    ['a', 1],
    ['b', 2],
  ] as const)
    work(name, sequence);
  journal.checkpoints.noteTold(2, []);
  await cleaner().clean(undefined);
  expect(effectsLeft()).toEqual(['b']);
  const again = { iteration: 'a', step: 'build', attempt: 1 } as const;
  journal.requests.note({ ...again, eventId: 'a', bytes: Buffer.from('a') }, { sequence: 7, signature: 's' });
  expect(journal.requests.next()).toBeUndefined();
  expect(journal.requests.isAnswered(again)).toBe(true);
});

it('a removal that was cut is ended the next time, and what is left is never taken for the whole', async () => {
  work('a', 1);
  mkdirSync(join(things, '.gone-b.1'));
  writeFileSync(join(things, '.gone-b.1', 'file'), 'half');
  await cleaner(folders()).clean(undefined);
  expect(left()).toEqual(['a.1']);
});

it('says what is there, each kind with its limit', async () => {
  work('a', 1);
  const disks = cleaner(folders());
  expect(disks.told()).toBeUndefined();
  await disks.clean(undefined);
  await until(() => disks.told()?.length === 2);
  const [found] = disks.told() ?? [];
  expect(found).toMatchObject({ kind: 'folders', number: 1, limit: { number: 1 } });
  expect(found?.bytes).toBeGreaterThan(1000);
});

it('trouble with one kind is said once, and is none of the others', async () => {
  work('a', 1);
  work('b', 2);
  journal.checkpoints.noteTold(2, []);
  const broken = folders(() => Promise.reject(new Error('the disk is broken')));
  const disks = cleaner(broken, folders());
  await disks.clean(undefined);
  await disks.clean(undefined);
  expect(left()).toEqual(['b.1']);
  expect(said.filter((text) => text.includes('broken'))).toEqual([
    "folders can't be cleaned, and is tried again after the next attempt: the disk is broken",
  ]);
});

it('what is a link is removed as a link', async () => {
  const other = join(folder, 'other');
  mkdirSync(other);
  writeFileSync(join(other, 'file'), 'x');
  work('a', 1);
  await run(['ln', '-s', other, join(things, 'a.1', 'link')]);
  await removeFolder(run, things, 'a.1');
  expect(left()).toEqual([]);
  expect(existsSync(join(other, 'file'))).toBe(true);
});
