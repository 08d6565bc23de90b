// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is bash
import { expect, it } from 'vitest';
import { readScript, scriptVariables } from './bash-script.ts';
import { expandWord } from './bash-word.ts';

const variables = (name: string) => ({ a: ['x'.repeat(300)], v: ['7.0-1'] })[name];

it.each([
  ['{1..9999999999}'],
  ['{a,b}'.repeat(40)],
  [`${'{a,'.repeat(5000)}b${'}'.repeat(5000)}`],
  ["${v:-'}"],
  ['${a##*x*x*x*y}'],
  ['${v//[z-a]/q}'],
  ['x$' + '{v:-'],
])('has no value for %.30s, and reports that at once', (word) => {
  expect(expandWord(word, variables)).toBeUndefined();
});

it('has no value for a variable that is called like a member of every object', () => {
  const known = scriptVariables(readScript('pkgver=1\n'), { pkgbase: 'linux' });
  expect(expandWord('${constructor}-${toString}', known)).toBeUndefined();
  expect(expandWord('${pkgbase}', known)).toEqual(['linux']);
});

it('gives up on a value that doubles with each line', () => {
  const script = readScript(
    `a=xx\n${'a=$a$a\n'.repeat(60)}b=("$a")\n${'b=("${b[@]}" "${b[@]}")\n'.repeat(60)}`,
  );
  expect(scriptVariables(script)('a')).toBeUndefined();
  expect(scriptVariables(script)('b')).toBeUndefined();
});

it('gives up on blocks and substitutions that nest deeper than anybody writes', () => {
  expect(() => readScript('if x; then\n'.repeat(10_000))).toThrow('more than 50 nested blocks');
  expect(() => readScript(`a=${'$('.repeat(50_000)}${')'.repeat(50_000)}`)).toThrow(
    'nested quotes and substitutions',
  );
});
