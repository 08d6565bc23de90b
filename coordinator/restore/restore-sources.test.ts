import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, expect, it } from 'vitest';
import { Journal } from '../../agents/runtime/journal/journal.ts';
import { readJournalBlob, readJournalMessages } from '../../agents/runtime/journal/read-journal.ts';
import { LogCopy } from '../daemon/log-copy.ts';
import { gather, type Source, saveMessages } from './restore-sources.ts';

const folder = mkdtempSync(join(tmpdir(), 'ka-sources-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
const source = (kind: Source['kind'], file: string): Source => ({
  kind,
  file,
  from: kind,
  isNamed: true,
});
const journals = { messages: readJournalMessages, blob: readJournalBlob };
const never = (_source: Source, sentence: string) => {
  throw new Error(sentence);
};
const message = (sequence: number, subject: string, text = subject) => ({
  sequence,
  subject,
  bytes: new TextEncoder().encode(text),
  signature: `of ${text}`,
});

it('a log’s content saved by a restore is a source', () => {
  const messages = [message(1, 'a', 'ä\n'), message(4, 'b')];
  saveMessages(at('saved.jsonl'), messages);
  expect(() => saveMessages(at('saved.jsonl'), [])).toThrow('EEXIST');
  const { held } = gather([source('saved', at('saved.jsonl'))], journals, never);
  expect(held.map((one) => ({ ...one, bytes: new Uint8Array(one.bytes) }))).toEqual(
    messages.map((one) => ({ ...one, from: 'saved' })),
  );
});

it('the copy returns what the log held last before what it had lost', () => {
  const copy = new LogCopy(at('log.db'));
  for (const [index, subject] of ['a', 'x', 'y'].entries()) copy.keep(message(index + 1, subject), 1);
  copy.endsAt(1);
  copy.keep(message(2, 'b'), 1);
  copy.close();
  const { held } = gather([source('copy', at('log.db'))], journals, never);
  expect(held.map(({ subject }) => subject)).toEqual(['a', 'b', 'x', 'y']);
});

it('a journal returns what it holds of the log, and the highest epoch that its host was told', () => {
  const journal = new Journal(at('journal.db'));
  const own = message(1, 'ka.reauktion.boltzmann._.AgentStarted.1');
  journal.outbox.note({ ...own, seq: 1 });
  journal.marks.noteEpoch(3);
  journal.close();
  const { held, epoch } = gather([source('journal', at('journal.db'))], journals, never);
  expect(epoch).toBe(3);
  expect(held).toEqual([{ ...own, sequence: null, bytes: Buffer.from(own.bytes), from: 'journal' }]);
});

it('a source that can’t be read is named, and the others are read', () => {
  writeFileSync(at('bad.db'), 'no database at all'.repeat(100));
  new Database(at('empty.db')).close();
  writeFileSync(at('cut.jsonl'), '{"sequence":1');
  const told: string[] = [];
  const names = ['bad.db', 'empty.db', 'none.db'].map((name) => source('journal', at(name)));
  const { held } = gather(
    [...names, source('saved', at('cut.jsonl')), source('saved', at('saved.jsonl'))],
    journals,
    (_source, sentence) => told.push(sentence),
  );
  expect(held).toHaveLength(2);
  expect(told.map((sentence) => sentence.replaceAll(`${folder}/`, ''))).toEqual([
    expect.stringMatching(
      /^bad\.db can't be read \(file is not a database\): what only it has can't be rebuilt$/,
    ),
    expect.stringMatching(
      /^empty\.db can't be read \(empty\.db is a journal of version 0; this version reads \d+\): /,
    ),
    "none.db can't be read (it is not there): what only it has can't be rebuilt",
    "cut.jsonl can't be read (line 1 is no saved event): what only it has can't be rebuilt",
  ]);
});
