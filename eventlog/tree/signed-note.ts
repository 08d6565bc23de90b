import { hash } from 'node:crypto';
import { isRawSignedBy, rawPublicKey, type WriterKey } from '../signing/writer-key.ts';

/** A note that does not follow the format, or is not signed by the right signer. */
export class BadNote extends Error {
  override readonly name = 'BadNote';
}

const ed25519 = 0x01;
/** Every reader has to accept this many, and we accept no more: there are few cosignatures. */
const mostSignatures = 16;
const signatureLine = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/u;
/** What a note may not contain: control characters other than the newline, and what is not valid UTF-8. */
const unspeakable = /[\p{Cc}\p{Cs}]/u;

/** Which key signed: the first four bytes of a hash over the signer's name and key. */
const keyIdOf = (name: string, publicKey: string): Uint8Array =>
  hash(
    'sha256',
    Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ed25519), rawPublicKey(publicKey)]),
    'buffer',
  ).subarray(0, 4);

const checkText = (text: string): void => {
  if (!text.endsWith('\n')) throw new BadNote('the text of a note ends in a newline, and this one does not');
  if (unspeakable.test(text.replaceAll('\n', '')))
    throw new BadNote('the text of a note holds a character that is not allowed there');
};

/**
 * Signs a text as a note. https://c2sp.org/signed-note
 * @param text whole lines; the last one ends in a newline too. @param name the signer's name, without spaces and plus
 * signs.
 * @throws {BadNote} if the text or the name can't stand in a note.
 */
export const signNote = (text: string, name: string, key: WriterKey): string => {
  checkText(text);
  if (!/^[^\s+]+$/u.test(name) || unspeakable.test(name))
    throw new BadNote(`"${name}" can't be the name of a signer: spaces and plus signs are not allowed`);
  const signature = Buffer.concat([keyIdOf(name, key.publicKey), key.signRaw(Buffer.from(text))]);
  return `${text}\n\u2014 ${name} ${signature.toString('base64')}\n`;
};

/**
 * Returns the text of a note that one of these keys signed. Signatures by other keys are ignored.
 * @param name the signer's name. @param publicKeys the signer's keys, NKeys.
 * @throws {BadNote} if it does not follow the format exactly, lacks the signature, or holds a false one.
 */
export const openNote = (note: string, name: string, publicKeys: readonly string[]): string => {
  const end = note.lastIndexOf('\n\n');
  if (end < 0) throw new BadNote('a note has a blank line before its signatures, and this one has none');
  const text = note.slice(0, end + 1);
  checkText(text);
  const lines = note.slice(end + 2).split('\n');
  if (lines.pop() !== '' || lines.length === 0)
    throw new BadNote('a note ends with whole lines of signatures, and this one does not');
  if (lines.length > mostSignatures)
    throw new BadNote(`the note has ${lines.length} signatures, expected at most ${mostSignatures}`);
  const known = publicKeys.map((key) => ({ key, id: keyIdOf(name, key) }));
  let isSigned = false;
  for (const line of lines) {
    const [, signer, encoded = ''] = signatureLine.exec(line) ?? [];
    const raw = Buffer.from(encoded, 'base64');
    // The same bytes have several spellings in base64.
    if (
      signer === undefined ||
      unspeakable.test(signer) ||
      raw.length <= 4 ||
      raw.toString('base64') !== encoded
    )
      throw new BadNote(`${JSON.stringify(line)} is not the signature of a note`);
    const by = known.find(({ id }) => signer === name && Buffer.compare(raw.subarray(0, 4), id) === 0);
    if (!by) continue;
    if (!isRawSignedBy(by.key, Buffer.from(text), raw.subarray(4)))
      throw new BadNote(`the note is not what ${name} signed`);
    isSigned = true;
  }
  if (!isSigned) throw new BadNote(`the note is not signed by ${name} with a key that it has`);
  return text;
};
