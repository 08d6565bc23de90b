import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ktapOf } from './ktap.ts';
import { sweepResults } from './sweep-results.ts';
import { brokenWith, hostileTexts, iterations } from './testdata/iterations.ts';
import { type KtapTest, parseKtap } from './testdata/parse-ktap.ts';

const named = (name: keyof typeof iterations): KtapTest => {
  const iteration = iterations[name];
  const [whole] = iteration ? parseKtap(ktapOf(iteration)) : [];
  if (!whole) throw new Error(`no iteration ${name}`);
  return whole;
};

const rowsOf = ({ tests }: KtapTest) =>
  Object.fromEntries(tests.map(({ name, ok, directive, data }) => [name, { ok, directive, data }]));

describe('a sweep as KTAP', () => {
  it.each(Object.entries(iterations))('keeps to the grammar and the judgement: %s', (_name, iteration) => {
    for (const step of ['presweep', 'sweep'] as const) {
      const [whole, ...others] = parseKtap(ktapOf(iteration, step));
      const judged = sweepResults(iteration, step).whole;
      expect(others).toEqual([]);
      expect(whole?.ok).toBe(judged.verdict === 'PASS');
      expect(whole?.tests.map(({ name, ok }) => [name, ok])).toEqual(
        judged.tests.map(({ name, verdict }) => [name, verdict === 'PASS']),
      );
    }
  });

  it('has each row with its paths and comparisons', () => {
    const { ok, tests } = named('closed');
    expect(ok).toBe(true);
    expect(tests.map(({ name }) => name)).toEqual(['h264', 'hevc', 'vp9', 'mpeg2', 'vp8']);
    expect(tests[3]?.tests.map(({ name }) => name)).toEqual([
      'libva',
      'kernel-direct',
      'software',
      'libva = kernel-direct',
      'libva != software',
    ]);
  });

  it('shows why a difference is expected, and passes it', () => {
    const { closed } = iterations;
    expect(closed && ktapOf(closed)).toMatch(
      /^ {4}# libva != software: the hardware's IDCT .*\n {4}ok 5 libva != software$/m,
    );
  });

  it('keeps FAIL, ERROR, MISS and SKIP apart', () => {
    expect(rowsOf(named('fail and miss'))).toEqual({
      h264: { ok: false, directive: undefined, data: '' },
      mpeg2: {
        ok: false,
        directive: 'ERROR',
        data: expect.stringMatching(/^MISS: libva != software does not/),
      },
    });
    expect(rowsOf(named('error')).h264).toEqual({
      ok: false,
      directive: 'ERROR',
      data: expect.stringMatching(/^libva = kernel-direct does not hold: libva broke: the decoder died/),
    });
    expect(rowsOf(named('two paths compared').tests[0] as KtapTest).software).toMatchObject({
      ok: true,
      directive: 'SKIP',
    });
  });

  it('never passes what was not swept', () => {
    for (const name of ['started', 'not swept yet', 'build failed'])
      for (const { ok, directive, data, tests } of [named(name), ...named(name).tests]) {
        expect({ ok, directive, data }).toEqual({
          ok: false,
          directive: 'ERROR',
          data: expect.stringMatching(/^MISS: /),
        });
        expect(tests.some((test) => test.ok)).toBe(false);
      }
  });

  it('tells a sweep that broke from one without evidence, whatever its reason says', () => {
    for (const name of ['sweep broke', 'sweep timed out']) {
      const broke = rowsOf(named(name))['the attempt'];
      expect(broke).toMatchObject({
        ok: false,
        directive: 'ERROR',
        data: expect.stringMatching(/^fresnel: /),
      });
    }
    expect(rowsOf(named('another package'))['the package']).toMatchObject({ ok: false, data: '' });
  });

  it('lets no text of a board break its lines', () => {
    for (const text of hostileTexts) {
      const hostile = named('error');
      const [found] = parseKtap(ktapOf(brokenWith(text)));
      const outline = ({ name, ok, directive, tests }: KtapTest): unknown => [
        name,
        ok,
        directive,
        tests.map(outline),
      ];
      expect(found && outline(found)).toEqual(outline(hostile));
    }
  });

  it('keeps to the grammar for any text', () => {
    const unit = fc.constantFrom(
      ...[
        '\n',
        '\r',
        ' ',
        '  ',
        '#',
        '# SKIP',
        'ok 1 x',
        'not ok 2',
        'KTAP version 1',
        '1..1',
        'MISS: ',
        'é',
        '😀',
      ],
      ...['\u001b[2J', '\u0000', '\u0085', '\u009b', '\u2028', '\u202e', '\ud800', '\udc00', '\ufffe'],
    );
    fc.assert(
      fc.property(fc.string({ unit }), (said) => void parseKtap(ktapOf(brokenWith(said)))),
      { numRuns: 500 },
    );
  });
});

describe('the grammar that the tests use', () => {
  const good =
    'KTAP version 1\n1..1\n  KTAP version 1\n  1..2\n  ok 1 a\n  not ok 2 b # ERROR c\n# d\nnot ok 1 e\n';

  it('takes what the specification shows', () => {
    expect(parseKtap(good)).toMatchObject([{ name: 'e', ok: false, tests: [{ ok: true }, { data: 'c' }] }]);
  });

  it.each([
    ['no version', good.replace('KTAP version 1', 'TAP version 13')],
    ['no plan', good.replace('1..1\n', '')],
    ['a plan with another number of tests', good.replace('1..2', '1..3')],
    ['numbers that do not count up', good.replace('ok 1 a', 'ok 2 a')],
    ['an indentation of three', good.replaceAll(/^ {2}/gm, '   ')],
    ['a pass above a failure', good.replace('not ok 1 e', 'ok 1 e')],
    ['an error that is ok', good.replace('not ok 2 b', 'ok 2 b').replace('not ok 1 e', 'ok 1 e')],
    ['subtests without their test', good.replace('not ok 1 e\n', '')],
    ['an unknown line', good.replace('# d', 'd')],
    ['an escape sequence', good.replace('# d', '# \u001b[31m')],
    ['a second document', good + good],
    ['an end without a line end', good.trimEnd()],
  ])('refuses %s', (_name, text) => {
    expect(() => parseKtap(text)).toThrow();
  });
});
