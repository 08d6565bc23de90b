import { stripVTControlCharacters } from 'node:util';

/**
 * The characters that are not shown as letters: C0 and C1 controls (ECMA-48), which include those that begin an escape
 * sequence; marks that change the direction of writing (Unicode UAX #9); invisible characters and line ends outside
 * ASCII; invisible tags; and halves of a surrogate pair.
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

/**
 * Returns foreign text as one line for people. Unprintable characters are escaped, so that no terminal acts on them.
 */
export const printable = (text: string): string => text.replace(unprintable, escapeOf);

/** Like {@link printable}, for text of several lines. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');

/** Like {@link printable}, for a line that a program printed: colours are removed, a tab becomes four spaces. */
export const printableOutput = (line: string): string =>
  printable(stripVTControlCharacters(line).replaceAll('\t', '    '));

/** The colours and weights that this program prints itself: SGR, ECMA-48 section 8.3.117. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal's styles begin with it
const ownStyle = /\u001b\[\d{1,2}m/g;

/**
 * The last filter before a terminal: of the unprintable characters, only line ends and this program's own styles pass.
 */
export const styledLines = (text: string): string => {
  let passed = '';
  let at = 0;
  for (const { 0: style, index } of text.matchAll(ownStyle)) {
    passed += printableLines(text.slice(at, index)) + style;
    at = index + style.length;
  }
  return passed + printableLines(text.slice(at));
};

/** JSON that is safe on a terminal too: unprintable characters that `JSON.stringify` leaves as they are get escaped. */
export const printableJson = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(unprintable, (letter) =>
    letter === '\n'
      ? letter
      : [...Array(letter.length).keys()]
          .map((at) => `\\u${letter.charCodeAt(at).toString(16).padStart(4, '0')}`)
          .join(''),
  );
