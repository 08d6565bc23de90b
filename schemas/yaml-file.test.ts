import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { readYaml, spellFaults } from './yaml-file.ts';

const Menu = z.strictObject({
  title: z.string(),
  size: z.int().min(1),
  dishes: z.array(z.strictObject({ name: z.string(), spicy: z.boolean().optional() })).min(1),
  prices: z.record(z.string().regex(/^[a-z]+$/, { error: 'must be a small word' }), z.number()).default({}),
});

const faults = (text: string) => spellFaults('menu.yaml', readYaml(text, Menu).faults);

describe('a file that people write', () => {
  it('is read where it fits', () => {
    const { value, raw } = readYaml('title: Lunch\nsize: 2\ndishes: [{ name: soup }]\n', Menu);
    expect(value).toEqual({ title: 'Lunch', size: 2, dishes: [{ name: 'soup' }], prices: {} });
    expect(raw).toEqual({ title: 'Lunch', size: 2, dishes: [{ name: 'soup' }] });
  });

  it('shows every fault at once, in the order of the file', () => {
    const text = [
      'title: 7',
      'size: 0',
      'dishes:',
      '  - { name: soup, hot: yes }',
      'prices:',
      '  Soup: 3',
      '',
    ].join('\n');
    expect(faults(text)).toEqual([
      'menu.yaml:1:8: title: expected string, received number',
      'menu.yaml:2:7: size: expected number to be >=1',
      'menu.yaml:4:19: unknown key "hot" in dishes[soup]',
      'menu.yaml:6:3: prices.Soup must be a small word',
    ]);
  });

  it('shows what is missing where it should be', () => {
    expect(faults('title: Lunch\nsize: 1\ndishes:\n  - spicy: true\n')).toEqual([
      'menu.yaml:4:5: dishes[1].name is missing',
    ]);
    expect(faults('title: Lunch\ndishes: []\n')).toEqual([
      'menu.yaml:1:1: size is missing',
      'menu.yaml:2:1: dishes: expected array to have >=1 items',
    ]);
  });

  it('shows broken YAML where it breaks', () => {
    expect(faults('title: "Lunch\nsize: 1\n')).toEqual([
      expect.stringMatching(/^menu\.yaml:\d:\d+: .*quote/),
    ]);
    expect(faults('title: a\n\ttab: b\n')[0]).toMatch(/^menu\.yaml:2:1: /);
    expect(faults('title: a\ntitle: b\n')[0]).toMatch(/^menu\.yaml:2:1: .*unique/);
  });

  it('is refused when it is empty, or something else altogether', () => {
    expect(faults('')).toEqual(['menu.yaml:1:1: the file: expected object, received null']);
    expect(faults('- a\n')).toEqual(['menu.yaml:1:1: the file: expected object, received array']);
  });
});

describe('a hostile file', () => {
  const faults = (text: string) =>
    spellFaults('x.yaml', readYaml(text, z.strictObject({ a: z.string() })).faults);

  it('is refused if its aliases stand for more than a memory holds, or for themselves', () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
    for (const [from, to] of ['ab', 'bc', 'cd', 'de']) {
      bomb.push(`${to}: &${to} [${Array(10).fill(`*${from}`).join(', ')}]`);
    }
    expect(faults(bomb.join('\n'))).toEqual([expect.stringContaining('alias')]);
    expect(faults('a: *nothing\n')).toEqual([expect.stringMatching(/alias/i)]);
  });

  it('is refused if it nests deeper than a stack is, or is longer than anybody writes', () => {
    for (const open of ['[', '{', '- ', '? '])
      expect(faults(open.repeat(50_000))).toEqual([expect.stringContaining('more than 50 deep')]);
    expect(faults(`a: ${'x'.repeat(2_000_000)}`)).toEqual([
      expect.stringContaining('at most 1048576 are read'),
    ]);
  });

  it('is reported in printable letters alone, and with a limited number of faults', () => {
    expect(faults('"\\e[2J\\u202e": 1\n').at(-1)).toContain(String.raw`unknown key "\x1b[2J\u202e"`);
    const many = faults([...Array(1000).keys()].map((key) => `k${key}: 1\n`).join(''));
    expect(many).toHaveLength(101);
    expect(many.at(-1)).toContain('and 901 more faults');
  });
});
