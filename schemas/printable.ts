import { stripVTControlCharacters } from 'node:util';

/**
 * What a terminal, or a reader, takes for something else than a letter: C0 and C1 controls (ECMA-48), among them what
 * begins an escape sequence; marks that turn the direction of writing (Unicode UAX #9), line ends that are none in
 * ASCII, invisible tags, and halves of a surrogate pair.
 */
const unprintable =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\u{e0000}-\u{e007f}]|\p{Cs}/gu;

const spelled: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

const escapeOf = (letter: string): string => {
  const short = spelled[letter];
  if (short !== undefined) return short;
  const code = letter.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code < 0x1_0000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\u{${code.toString(16)}}`;
};

/** Text of others in one line for people: whatever is no letter is spelled, so that no terminal acts on it. */
export const printable = (text: string): string => text.replace(unprintable, escapeOf);

/** As {@link printable}, of text that has lines of its own. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');

/** As {@link printable}, of a line that a program printed: its colours are left out, a tab is four blanks. */
export const printableOutput = (line: string): string =>
  printable(stripVTControlCharacters(line).replaceAll('\t', '    '));

/** The colours and weights that this program prints itself: SGR, ECMA-48 section 8.3.117. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is how a terminal is told
const ownStyle = /\u001b\[\d{1,2}m/g;

/** The last look before a terminal: of all that is no letter, only line ends and this program's own styles pass. */
export const styledLines = (text: string): string => {
  let passed = '';
  let at = 0;
  for (const { 0: style, index } of text.matchAll(ownStyle)) {
    passed += printableLines(text.slice(at, index)) + style;
    at = index + style.length;
  }
  return passed + printableLines(text.slice(at));
};

/** JSON that a terminal may be shown too: what `JSON.stringify` leaves as it is, is spelled. */
export const printableJson = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(unprintable, (letter) =>
    letter === '\n'
      ? letter
      : [...Array(letter.length).keys()]
          .map((at) => `\\u${letter.charCodeAt(at).toString(16).padStart(4, '0')}`)
          .join(''),
  );
