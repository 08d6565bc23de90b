import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { quoteArgv } from './remote-shell.ts';

/** The arguments that a program gets from a shell that reads this line. */
const argvOf = (line: string): string[] =>
  execFileSync('sh', ['-c', line], { encoding: 'utf8' }).split('\0').slice(0, -1);
const echo = ['printf', '%s\\0'];

it('gives a program exactly these arguments, whatever they mean to a shell', () => {
  const words = [
    '',
    ' ',
    '$(id)',
    '`id`',
    "it's",
    "'''",
    '"',
    '\\',
    'a\nb',
    '*',
    '~',
    '-n',
    'A=b',
    '; rm',
    '&&',
    '!',
    'ü',
  ];
  expect(argvOf(quoteArgv([...echo, ...words]))).toEqual(words);
});

it('gives a program any arguments', () => {
  const word = fc.string({ unit: 'binary-ascii' }).filter((text) => !text.includes('\0'));
  fc.assert(
    fc.property(fc.array(word, { minLength: 50, maxLength: 100 }), (words) => {
      expect(argvOf(quoteArgv([...echo, ...words]))).toEqual(words);
    }),
    { numRuns: 5 },
  );
});

it('refuses what no argv can hold', () => {
  expect(() => quoteArgv([])).toThrow('an argv without a program');
  expect(() => quoteArgv(['printf', 'a\0b'])).toThrow('NUL');
});
