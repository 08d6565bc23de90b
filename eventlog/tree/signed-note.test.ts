import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateWriterKey, rawPublicKey, readWriterKey } from '../signing/writer-key.ts';
import { BadNote, openNote, signNote } from './signed-note.ts';

// The example of the format's first implementation, https://pkg.go.dev/golang.org/x/mod/sumdb/note, its key as an NKey.
const peter = 'UANFZWIHCQ6DQTCB5AYMLPHBFKUIC7WFMSNKVPZMGE4IWNNS25CNMTWP';
const text =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const signature =
  'x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=';
const example = `${text}\n— PeterNeumann ${signature}\n`;

const key = readWriterKey(generateWriterKey());
const other = readWriterKey(generateWriterKey());
const note = signNote('first\n\nlast\n', 'kernel-agent/sandbox/1', key);
const open = (changed: string) => openNote(changed, 'kernel-agent/sandbox/1', [key.publicKey]);
const signatureOf = (signed: string) => signed.slice(signed.lastIndexOf('\n\n') + 2);

describe('a signed note', () => {
  it('is the same as the published example', () => {
    expect(Buffer.from(rawPublicKey(peter)).toString('base64')).toBe(
      'GlzZBxQ8OExB6DDFvOEqqIF+xWSaqr8sMTiLNbLXRNY=',
    );
    expect(openNote(example, 'PeterNeumann', [peter])).toBe(text);
    const forged = example.replace('answer', 'Answer');
    expect(() => openNote(forged, 'PeterNeumann', [peter])).toThrow(
      'the note is not what PeterNeumann signed',
    );
  });

  it('opens with the key that signed it, and with no other', () => {
    expect(open(note)).toBe('first\n\nlast\n');
    expect(() => openNote(note, 'kernel-agent/sandbox/1', [other.publicKey])).toThrow(
      'is not signed by kernel-agent/sandbox',
    );
    expect(() => openNote(note, 'kernel-agent/sandbox/2', [key.publicKey])).toThrow(
      'is not signed by kernel-agent/sandbox',
    );
  });

  it('may be signed by unknown signers as well', () => {
    const witness = signNote('first\n\nlast\n', 'witness', other);
    const namesake = signNote('first\n\nlast\n', 'kernel-agent/sandbox/1', other);
    const post = '— post-quantum AAAAAQID\n';
    expect(open(note + signatureOf(witness) + signatureOf(namesake) + post)).toBe('first\n\nlast\n');
    expect(open(witness + signatureOf(note))).toBe('first\n\nlast\n');
  });

  it('opens with each of the keys that a signer has', () => {
    expect(openNote(note, 'kernel-agent/sandbox/1', [other.publicKey, key.publicKey])).toBe(
      'first\n\nlast\n',
    );
    expect(() => openNote(note, 'kernel-agent/sandbox/1', [])).toThrow('with a key that it has');
  });

  it('is refused if it has a false signature of its own signer beside the good one', () => {
    const another = signNote('other\n', 'kernel-agent/sandbox/1', key);
    expect(() => open(note + signatureOf(another))).toThrow('is not what kernel-agent/sandbox/1 signed');
  });

  it.each([
    ['no newline at the end', note.slice(0, -1)],
    ['a line that is no signature', `${note}x\n`],
    ['a blank line at the end', `${note}\n`],
    ['no signature', note.slice(0, note.lastIndexOf('\n\n') + 2)],
    ['no blank line', note.replaceAll('\n\n', '\n')],
    ['Windows line ends', note.replaceAll('\n', '\r\n')],
    ['a hyphen for the dash', note.replace('—', '-')],
    ['two spaces', note.replace('— ', '—  ')],
    ['a plus in a name', `${note}— a+b AAAAAQID\n`],
    ['a control character in a name', `${note}— a\u0085b AAAAAQID\n`],
    ['an id and nothing signed', `${note}— witness AAAAAQ==\n`],
    ['a second spelling of base64', `${note}— witness AAAAAQJ=\n`],
    ['no padding', note.replace('=\n', '\n')],
    ['more signatures than anybody needs', note + '— witness AAAAAQID\n'.repeat(16)],
    ['nothing in it', ''],
  ])('is refused with %s', (_, changed) => {
    expect(changed).not.toBe(note);
    expect(() => open(changed)).toThrow(BadNote);
  });

  it('is refused with any one bit of it changed', () => {
    const bytes = Buffer.from(note);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => open(changed.toString())).toThrow(BadNote);
    }
  });

  it('is only made of a text that can be read back', () => {
    expect(() => signNote('no end', 'me', key)).toThrow('ends in a newline');
    expect(() => signNote('a\tb\n', 'me', key)).toThrow('is not allowed there');
    expect(() => signNote('a\ud800b\n', 'me', key)).toThrow('is not allowed there');
    expect(() => signNote('a\n', 'me too', key)).toThrow("can't be the name of a signer");
    expect(() => signNote('a\n', 'a+b', key)).toThrow("can't be the name of a signer");
  });

  it('opens to what was signed, whatever that is', () => {
    const line = fc.string({ unit: 'grapheme' }).filter((one) => !/[\p{Cc}\p{Cs}]/u.test(one));
    fc.assert(
      fc.property(fc.array(line), line, (lines, last) => {
        const said = [...lines, last, ''].join('\n');
        expect(open(signNote(said, 'kernel-agent/sandbox/1', key))).toBe(said);
      }),
      { numRuns: 300 },
    );
  });
});
