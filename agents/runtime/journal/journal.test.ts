import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { EffectName } from '../../../schemas/effects.ts';
import { sha256 } from '../../../schemas/hash.ts';
import { createEffect } from '../effects.ts';
import { NeedsPerson, Superseded } from '../errors.ts';
import { Journal } from './journal.ts';
import { readJournal, readJournalBlob, readJournalMessages } from './read-journal.ts';

let folder: string;
let file: string;
let journal: Journal;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-journal-'));
  file = join(folder, 'journal.db');
  journal = new Journal(file);
});
afterEach(() => {
  journal.close();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const build = { iteration: 'iter5', step: 'build', attempt: 1 } as const;
const bytes = new TextEncoder().encode('bytes');
const request = (attempt = 1) => ({ ...build, attempt, eventId: `coordinator/${attempt}`, bytes });
const own = (seq: number) => ({ seq, subject: `s.${seq}`, bytes, signature: 'sig' });

/** As after a crash: another process opens the same file. */
const reopen = () => {
  journal.close();
  journal = new Journal(file);
};

describe('the journal', () => {
  it('is on the disk when a call returns: WAL with synchronous=FULL', () => {
    const pragma = vi.spyOn(Database.prototype, 'pragma');
    reopen();
    expect(pragma.mock.calls.map(([text]) => text).slice(0, 2)).toEqual([
      'journal_mode = WAL',
      'synchronous = FULL',
    ]);
    const [db] = pragma.mock.contexts as Database.Database[];
    expect(db?.pragma('journal_mode', { simple: true })).toBe('wal');
    expect(db?.pragma('synchronous', { simple: true })).toBe(2);
  });

  it('counts no try that failed for lack of room', () => {
    journal.requests.note(request());
    journal.requests.noteTry(build, 1);
    journal.requests.noteTry(build, 2);
    journal.requests.forgetTry(build);
    expect(journal.requests.tries(build)).toBe(1);
    journal.requests.forgetTry(build);
    journal.requests.forgetTry(build);
    expect(journal.requests.tries(build)).toBe(0);
  });

  it('remembers over a restart that it is contradicted', () => {
    journal.marks.noteContradiction();
    reopen();
    expect(journal.marks.isContradicted()).toBe(true);
    journal.marks.noteNoContradiction();
    expect(journal.marks.isContradicted()).toBe(false);
  });

  it('notes a request once, and hands over the oldest open one', () => {
    journal.requests.note(request(1));
    journal.requests.note(request(2));
    journal.requests.note({ ...request(1), eventId: 'other' });
    reopen();
    expect(journal.requests.next()).toMatchObject({
      attempt: 1,
      eventId: 'coordinator/1',
      tries: 0,
      begunAt: null,
    });
    expect(Buffer.from(journal.requests.next()?.bytes ?? '').toString()).toBe('bytes');
    journal.requests.noteTry(build, 1000);
    journal.requests.noteTry(build, 2000);
    expect(journal.requests.next()).toMatchObject({ tries: 2, begunAt: 1000 });
    expect(journal.requests.open()).toEqual([build, { ...build, attempt: 2 }]);
  });

  it('keeps when the log’s server first stored a request', () => {
    expect(journal.requests.askedAt(build)).toBeUndefined();
    journal.requests.noteAskedAt(build, 5);
    journal.requests.noteAskedAt(build, 7); // it was sent again after the log had lost it
    expect(journal.requests.askedAt(build)).toBe(5);
  });

  it('lets a supersession win, before and after the request', () => {
    journal.requests.noteSuperseded(build);
    journal.requests.note(request(1));
    journal.requests.note(request(2));
    journal.requests.noteSuperseded({ ...build, attempt: 2 });
    journal.requests.noteSuperseded({ ...build, attempt: 2 });
    expect(journal.requests.next()).toBeUndefined();
    expect(journal.requests.isSuperseded({ ...build, attempt: 2 })).toBe(true);
    expect(journal.requests.isSuperseded({ ...build, attempt: 3 })).toBe(false);
  });

  it('ends a request with its outcome, or neither', () => {
    journal.requests.note(request());
    journal.outbox.note(own(1));
    expect(() => journal.outbox.note({ ...own(2), subject: 's.1' }, build)).toThrow(/UNIQUE/);
    expect(journal.requests.next()).toBeDefined();
    expect(journal.outbox.last()?.seq).toBe(1);
    journal.outbox.note(own(2), build);
    expect(journal.requests.next()).toBeUndefined();
    journal.requests.note(request()); // redelivered
    expect(journal.requests.next()).toBeUndefined();
  });

  it('counts tries from the one in which a step made progress', () => {
    journal.requests.note(request());
    for (let tried = 0; tried < 4; tried += 1) journal.requests.noteTry(build, 1);
    journal.effects.noteIntent(build, 'checkout', 'null');
    expect(journal.requests.tries(build)).toBe(4);
    journal.effects.noteResult(build, 'checkout', '1');
    expect(journal.requests.tries(build)).toBe(1);
  });

  it('has one version: another one is not read', () => {
    for (const version of [0, 1]) {
      const other = new Database(file);
      other.pragma(`user_version = ${version}`);
      other.close();
      expect(() => new Journal(file)).toThrow(`a journal of version ${version}; this version reads 2`);
    }
    const other = new Database(file);
    other.pragma('user_version = 2');
    other.close();
    reopen();
  });

  it('is read by others while it is open', () => {
    journal.requests.note(request(1), { sequence: 7, signature: 'sig' });
    journal.requests.note(request(2));
    journal.outbox.note(own(1), build);
    journal.outbox.note(own(2));
    journal.outbox.markSent(1);
    expect(readJournal(file)).toEqual({ open: [{ ...build, attempt: 2 }], unsent: ['s.2'], position: 7 });
    expect(() => readJournal(`${file}.not`)).toThrow();
  });

  it('returns the messages of the log that it holds, as they were signed', () => {
    const said = (type: string, attempt: number) => ({
      ...{ fleet: 'reauktion', source: 'coordinator', iteration: 'iter5', type, attempt },
      data: { host: 'boltzmann' },
    });
    const bytesOf = (event: object) => new Uint8Array(Buffer.from(JSON.stringify(event)));
    const [asked, taken] = [bytesOf(said('BuildRequested', 1)), bytesOf(said('BuildSuperseded', 1))];
    const blob = { sha256: sha256('aside'), bytes: new Uint8Array(Buffer.from('aside')) };
    journal.requests.note({ ...request(1), bytes: asked }, { sequence: 7, signature: 'a' }, 3);
    journal.requests.noteSuperseded(build, { sequence: 9, signature: 'b', bytes: taken });
    journal.outbox.note(own(1));
    journal.outbox.note(own(2));
    journal.outbox.markSent(1, 8);
    journal.blobs.keep([blob]);
    const { messages, epoch } = readJournalMessages(file);
    expect(epoch).toBe(3);
    expect(messages.map((one) => ({ ...one, bytes: new Uint8Array(one.bytes) }))).toEqual([
      {
        sequence: 7,
        subject: 'ka.reauktion.coordinator.iter5.BuildRequested.1.boltzmann',
        bytes: asked,
        signature: 'a',
      },
      {
        sequence: 9,
        subject: 'ka.reauktion.coordinator.iter5.BuildSuperseded.1.boltzmann',
        bytes: taken,
        signature: 'b',
      },
      { sequence: 8, subject: 's.1', bytes: new Uint8Array(bytes), signature: 'sig' },
      { sequence: null, subject: 's.2', bytes: new Uint8Array(bytes), signature: 'sig' },
    ]);
    expect(readJournalBlob(file, blob.sha256)).toEqual(Buffer.from(blob.bytes));
    expect(readJournalBlob(file, sha256('other'))).toBeUndefined();
  });

  it('offers what is unsent, oldest first, and keeps what is sent', () => {
    for (const seq of [1, 2, 3]) journal.outbox.note(own(seq));
    journal.outbox.markSent(1);
    reopen();
    expect([journal.outbox.unsent(), journal.outbox.nextUnsent()?.seq]).toEqual([2, 2]);
    journal.outbox.markSent(2);
    journal.outbox.markSent(3);
    expect([journal.outbox.unsent(), journal.outbox.nextUnsent()]).toEqual([0, undefined]);
    expect(journal.outbox.last()?.seq).toBe(3);
  });

  it('counts boots in the order in which they were seen', () => {
    for (const boot of ['z', 'a', 'z', 'm']) journal.boots.note(boot);
    expect(journal.boots.after('z')).toEqual(['a', 'm']);
    expect(journal.boots.after('m')).toEqual([]);
    expect(journal.boots.after('never')).toEqual([]);
  });
});

describe('an effect', () => {
  const signal = new AbortController().signal;
  const effect = (
    name: EffectName<'build'> = 'packages',
    parts: Partial<Parameters<ReturnType<typeof createEffect>>[1]> = {},
  ) => {
    const act = vi.fn((): unknown => 'done');
    const ran = createEffect(
      journal,
      build,
      signal,
    )(name, {
      probe: () => expect.unreachable('nobody asks before a crash'),
      act,
      ...parts,
    });
    return { act, ran };
  };
  const cut = (parts: Partial<Parameters<ReturnType<typeof createEffect>>[1]> = {}) =>
    expect(effect('packages', { act: () => Promise.reject(new Error('cut')), ...parts }).ran).rejects.toThrow(
      'cut',
    );

  it('acts once and answers from the journal ever after, with what JSON keeps of its result', async () => {
    const result = { at: new Date(0), left: undefined };
    expect(await effect('packages', { act: () => result }).ran).toEqual({ at: '1970-01-01T00:00:00.000Z' });
    reopen();
    const again = effect();
    expect(await again.ran).toEqual({ at: '1970-01-01T00:00:00.000Z' });
    expect(again.act).not.toHaveBeenCalled();
    expect(journal.effects.begun(build)).toEqual(['packages']);
  });

  it('keeps a result of nothing', async () => {
    expect(await effect('packages', { act: () => undefined }).ran).toBeNull();
    const again = effect();
    expect(await again.ran).toBeNull();
    expect(again.act).not.toHaveBeenCalled();
  });

  it('cut after its intent asks its probe: yes is its result', async () => {
    await cut();
    reopen();
    const again = effect('packages', { probe: () => ({ happened: 'yes', result: 'seen' }) });
    expect(await again.ran).toBe('seen');
    expect(again.act).not.toHaveBeenCalled();
    expect(await effect().ran).toBe('seen');
  });

  it('cut after its intent acts again when its probe says no, with what it knew before', async () => {
    await cut({ before: () => ({ boot: 'old' }) });
    reopen();
    const probe = vi.fn(() => ({ happened: 'no' }) as const);
    const act = vi.fn(() => 'second');
    const before = vi.fn(() => ({ boot: 'new' }));
    expect(await effect('packages', { probe, act, before } as never).ran).toBe('second');
    expect(before).not.toHaveBeenCalled();
    expect(probe).toHaveBeenCalledWith({ boot: 'old' });
    expect(act).toHaveBeenCalledWith({ boot: 'old' });
  });

  it('needs a person if nobody can tell whether it happened', async () => {
    await cut();
    const again = effect('packages', { probe: () => ({ happened: 'unknown', why: 'no log' }) });
    await expect(again.ran).rejects.toThrow(NeedsPerson);
    expect(again.act).not.toHaveBeenCalled();
  });

  it('whose preparation fails has not begun', async () => {
    await cut({ before: () => Promise.reject(new Error('cut')) });
    expect(journal.effects.begun(build)).toEqual([]);
  });

  it('is not begun once the attempt is superseded or the agent stops; what is done stays done', async () => {
    await effect('checkout').ran;
    journal.requests.noteSuperseded(build);
    expect(await effect('checkout').ran).toBe('done');
    const second = effect('packages');
    await expect(second.ran).rejects.toThrow(Superseded);
    expect(second.act).not.toHaveBeenCalled();
    const stopped = createEffect(
      journal,
      { ...build, attempt: 2 },
      AbortSignal.abort(new Superseded('stops')),
    );
    await expect(stopped('packages', { probe: () => ({ happened: 'no' }), act: () => 1 })).rejects.toThrow(
      'stops',
    );
    expect(journal.effects.begun({ ...build, attempt: 2 })).toEqual([]);
  });

  it('occurs only once in a step', async () => {
    const twice = createEffect(journal, build, signal);
    const parts = { probe: () => ({ happened: 'no' }) as const, act: () => 1 };
    await twice('packages', parts);
    await expect(twice('packages', parts)).rejects.toThrow(TypeError);
  });
});
