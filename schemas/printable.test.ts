import { expect, it } from 'vitest';
import { printable, printableJson, printableLines, printableOutput, styledLines } from './printable.ts';

it('spells what a terminal would act on, and leaves letters of every script as they are', () => {
  expect(printable('größer 数字 🙂')).toBe('größer 数字 🙂');
  expect(printable('\u001b]0;title\u0007\u009b31m\r\n\u007f')).toBe(
    String.raw`\x1b]0;title\x07\x9b31m\r\n\x7f`,
  );
  expect(printable('\u202egnp.sh\u2028\ud800\u{e0041}')).toBe(String.raw`\u202egnp.sh\u2028\ud800\u{e0041}`);
});

it('keeps the lines of a text of several', () => {
  expect(printableLines('a\u001b[2J\nb')).toBe('a\\x1b[2J\nb');
});

it('leaves the colours of a program out of its output', () => {
  expect(printableOutput('\u001b[32m==>\u001b[0m\tmaking\u0007')).toBe(String.raw`==>    making\x07`);
});

it('lets this program’s own colours pass, and no other sequence', () => {
  expect(styledLines('\u001b[31mred\u001b[39m\nx\u001b[2Jy\u001b[H')).toBe(
    `\u001b[31mred\u001b[39m\nx${String.raw`\x1b[2Jy\x1b[H`}`,
  );
});

it('makes JSON of the same meaning, in printable letters', () => {
  const value = { 'a\u202e': '\u009b31m\u2028\u{e0041}\u007f' };
  const text = printableJson(value);
  expect(text).toBe(String.raw`{"a\u202e":"\u009b31m\u2028\udb40\udc41\u007f"}`);
  expect(JSON.parse(text)).toEqual(value);
});
