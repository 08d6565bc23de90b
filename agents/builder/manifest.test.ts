import { describe, expect, it } from 'vitest';
import { addIncludes, readIncludes } from './manifest.ts';

const edit = (text: string, ...entries: string[]) => addIncludes(text, entries).text;

describe('addIncludes', () => {
  it('keeps comments, order and layout byte for byte', () => {
    const before = `# head\nb:   1\nincludes:    # why\n    -   a/1.patch   # one\n\n    # two\n    -   a/2.patch\n# tail\na: "x"\n`;
    expect(edit(before, 'a/3.patch', 'a/4.patch')).toBe(
      before.replace('a/2.patch\n', 'a/2.patch\n    -   a/3.patch\n    -   a/4.patch\n'),
    );
  });

  it('puts nothing between the entries and the comment after the last one', () => {
    expect(edit('includes:\n- a # why\nb: 1\n', 'c')).toBe('includes:\n- a # why\n- c\nb: 1\n');
  });

  it('leaves alone what is there already, and is done when run again', () => {
    const once = edit('includes:\n  - a\n', 'a', 'b');
    expect(once).toBe('includes:\n  - a\n  - b\n');
    expect(edit(once, 'a', 'b')).toBe(once);
  });

  it.each([
    ['a last line without newline', 'includes:\n  - a', 'includes:\n  - a\n  - b'],
    ['CRLF', 'includes:\r\n  - a\r\nx: 1\r\n', 'includes:\r\n  - a\r\n  - b\r\nx: 1\r\n'],
    ['a flow sequence', 'includes: [a] # x\ny: 1\n', 'includes: [a, b] # x\ny: 1\n'],
    ['an empty flow sequence', 'includes: []\ny: 1\n', 'includes: [b]\ny: 1\n'],
    ['no entry yet', 'includes:  # none\ny: 1\n', 'includes:  # none\n  - b\ny: 1\n'],
    ['quotes', 'includes:\n  - "a"\n', 'includes:\n  - "a"\n  - b\n'],
  ])('edits %s', (_, before, after) => {
    expect(edit(before, 'b')).toBe(after);
    expect(readIncludes(after).at(-1)).toBe('b');
  });

  it.each([
    ['x: 1\n', 'no "includes:"'],
    ['includes: a\n', 'not a sequence'],
    ['includes:\n  - {a: 1}\n', 'not a plain path'],
    ['- a\n', 'not a YAML mapping'],
    ['a: [\n', 'not YAML'],
  ])('refuses %j', (text, why) => {
    expect(() => edit(text, 'b')).toThrow(why);
  });
});
