import { describe, expect, it } from 'vitest';
import { generateWriterKey, readWriterKey } from '../signing/writer-key.ts';
import { logOrigin, openCheckpoint, signCheckpoint } from './checkpoint.ts';
import { emptyRoot } from './merkle-tree.ts';
import { BadNote, signNote } from './signed-note.ts';

const key = readWriterKey(generateWriterKey());
const origin = logOrigin('sandbox', 2);
const root = Buffer.from(emptyRoot).toString('base64');
const open = (note: string) => openCheckpoint(note, origin, [key.publicKey]);
const sign = (text: string) => signNote(text, origin, key);

describe('a checkpoint', () => {
  it('is the three lines of a C2SP checkpoint, signed by the log', () => {
    const note = signCheckpoint(origin, { size: 20852163, root: emptyRoot }, key);
    expect(note.startsWith(`kernel-agent/sandbox/2\n20852163\n${root}\n\n— kernel-agent/sandbox/2 `)).toBe(
      true,
    );
    expect(open(note)).toEqual({ size: 20852163, root: Buffer.from(emptyRoot) });
    expect(open(signCheckpoint(origin, { size: 0, root: emptyRoot }, key)).size).toBe(0);
  });

  it('is refused by a reader of another log, and of an earlier epoch', () => {
    const note = signCheckpoint(logOrigin('sandbox', 1), { size: 1, root: emptyRoot }, key);
    expect(() => open(note)).toThrow('is not signed by kernel-agent/sandbox/2');
    expect(() => open(sign(`kernel-agent/sandbox/1\n1\n${root}\n`))).toThrow(
      'the checkpoint is of the log "kernel-agent/sandbox/1", expected kernel-agent/sandbox/2',
    );
  });

  it.each([
    ['a size with a zero before it', `${origin}\n01\n${root}\n`],
    ['a size that is no number', `${origin}\n-1\n${root}\n`],
    ['no size', `${origin}\n\n${root}\n`],
    ['a size that nobody can count', `${origin}\n9007199254740993\n${root}\n`],
    ['a short root', `${origin}\n1\nAAAA\n`],
    ['a root spelt another way', `${origin}\n1\n${root.replace('U=', 'V=')}\n`],
    ['a line more', `${origin}\n1\n${root}\nmore\n`],
    ['a line less', `${origin}\n1\n`],
  ])('is refused with %s', (_, text) => {
    expect(text).not.toBe(`${origin}\n1\n${root}\n`);
    expect(() => open(sign(text))).toThrow(BadNote);
  });
});
