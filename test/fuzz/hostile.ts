// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is bash
import fc from 'fast-check';

/** Names and texts that an attacker would try. */
const tried = [
  ...[
    '',
    ' ',
    '-',
    '--',
    '-rf',
    '--output=/tmp/x',
    '-oProxyCommand=id',
    '--upload-pack=id',
    '@file',
    '~',
    '~root',
  ],
  ...[
    '.',
    '..',
    '../x',
    '../../etc/passwd',
    'a/../../b',
    '/etc/passwd',
    '//x',
    'a//b',
    './a',
    'a/./b',
    '.git/config',
  ],
  ...[
    'a\\..\\b',
    'C:\\x',
    'file:///etc/passwd',
    'http://127.0.0.1/',
    'ext::sh -c id',
    'host:path',
    'a b',
    'a;id',
  ],
  ...[
    '$(id)',
    '`id`',
    '${IFS}',
    '| id',
    '&& id',
    '*',
    '>',
    'a.*',
    'a.>',
    '$JS.API.STREAM.DELETE.KA',
    "'",
    '"',
    "';--",
  ],
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', 'then', 'length'],
  ...[
    '\u001b[31mPASS\u001b[0m',
    '\u001b[2J\u001b[H',
    '\u001b]0;title\u0007',
    '\u001b]52;c;aWQ=\u0007',
    '\u001bP1$r\u001b\\',
  ],
  ...[
    '\u009b31m',
    '\u0007',
    '\b\b\b',
    'a\rb',
    'a\nb',
    'a\n- b: c',
    'a\u0000b',
    '\u202egnp.sh',
    '\u2066x\u2069',
    '\u2028',
  ],
  ...['\u200b', '\ufeff', '\ud800', '\u{e0041}', '\u007f', 'İ', '\u0130', 'ﬀ', '𝒳', 'ａ', '٣', 'é'],
  ...[
    '0',
    '-1',
    '1e309',
    '9007199254740993',
    '0x10',
    'NaN',
    'null',
    'true',
    '~',
    '!!js/function',
    '&a',
    '*a',
    '<<',
  ],
  ...[
    '2026-02-30T00:00:00Z',
    '+275760-09-13T00:00:00.001Z',
    '0000-00-00T00:00:00Z',
    '7.0-2\n',
    'C1\n',
    'iter5\n',
  ],
];

/** Hostile text. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...tried) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...tried), fc.constantFrom(...tried)).map(([a, b]) => a + b),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc.string({
      unit: fc.constantFrom('\u001b', '[', 'm', '1', ']', '\u0007', '\n', '-', '/', '.', 'a'),
    }),
  },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 3 }).map((power) => 'A'.repeat(10 ** power * 5)) },
);

const numbers = [
  0,
  -0,
  -1,
  0.5,
  1,
  2,
  255,
  65_536,
  2 ** 31,
  2 ** 53,
  2 ** 53 + 2,
  1e100,
  Number.MAX_VALUE,
  -1e308,
  5e-324,
];

const proto: unknown = JSON.parse(
  '{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}',
);

const nested = (depth: number, open: 'list' | 'map'): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = open === 'list' ? [value] : { a: value };
  return value;
};

/** Any JSON value, mostly of the wrong type. */
export const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 5, arbitrary: hostileText as fc.Arbitrary<unknown> },
  {
    weight: 3,
    arbitrary: fc.constantFrom<unknown>(...numbers, null, true, false, [], {}, [[]], [null], [''], proto),
  },
  { weight: 1, arbitrary: fc.dictionary(hostileText, fc.constantFrom<unknown>(1, '', null, [])) },
  { weight: 1, arbitrary: fc.array(hostileText, { maxLength: 4 }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(3, 70, 500), fc.constantFrom('list' as const, 'map' as const))
      .map(([depth, open]) => nested(depth, open)),
  },
);

type Path = (string | number)[];

const placesIn = (value: unknown, path: Path = []): Path[] => {
  if (typeof value !== 'object' || value === null) return [path];
  return [
    path,
    ...Object.entries(value).flatMap(([key, inner]) =>
      placesIn(inner, [...path, Array.isArray(value) ? Number(key) : key]),
    ),
  ];
};

/** One change to a document. */
interface Mutation {
  /** The number of the place to change, modulo the number of places. */
  at: number;
  how: 'replace' | 'remove' | 'repeat' | 'add' | 'swap';
  value: unknown;
  key: string;
}

const set = (holder: Record<PropertyKey, unknown>, key: PropertyKey, value: unknown) =>
  // A plain assignment to "__proto__" would not add a member.
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });

const mutate = (document: unknown, mutations: readonly Mutation[]): unknown => {
  const root = { document: structuredClone(document) };
  for (const { at, how, value: given, key } of mutations) {
    const value = structuredClone(given); // a later mutation may change it, and other inputs share it
    const places = placesIn(root);
    if (places.length < 2) break; // nothing is left
    const path = places[1 + (at % (places.length - 1))] as Path;
    const last = path.at(-1) as string | number;
    let holder: unknown = root;
    for (const part of path.slice(0, -1)) holder = (holder as Record<PropertyKey, unknown>)[part];
    const inside = holder as Record<PropertyKey, unknown>;
    if (how === 'remove') {
      if (Array.isArray(holder)) holder.splice(Number(last), 1);
      else delete inside[last];
    } else if (how === 'repeat' && Array.isArray(holder)) holder.push(structuredClone(holder[Number(last)]));
    else if (how === 'add' && typeof inside[last] === 'object' && inside[last] !== null) {
      const within = inside[last];
      if (Array.isArray(within)) within.push(value);
      else set(within as Record<PropertyKey, unknown>, key, value);
    } else if (how === 'swap') {
      const other = places[1 + ((at * 7 + 3) % (places.length - 1))] as Path;
      let from: unknown = root;
      for (const part of other) from = (from as Record<PropertyKey, unknown>)[part];
      set(inside, last, structuredClone(from));
    } else set(inside, last, value);
  }
  return root.document ?? null;
};

/** A good document with a few things wrong. */
export const mutated = (document: unknown, maxMutations = 4): fc.Arbitrary<unknown> => {
  const mutation = fc.record({
    at: fc.nat(100_000),
    how: fc.constantFrom(
      'replace' as const,
      'replace' as const,
      'remove' as const,
      'repeat' as const,
      'add' as const,
      'swap' as const,
    ),
    value: hostileValue,
    key: hostileText,
  });
  return fc
    .array(mutation, { minLength: 1, maxLength: maxMutations })
    .map((mutations) => mutate(document, mutations));
};

/** A good text with pieces removed, repeated, moved, or hostile ones inserted. */
export const mutatedText = (text: string, pieces: readonly string[] = []): fc.Arbitrary<string> => {
  const piece = pieces.length > 0 ? fc.oneof(hostileText, fc.constantFrom(...pieces)) : hostileText;
  const splice = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    gone: fc.oneof(fc.nat(3), fc.nat(300)),
    by: piece,
  });
  return fc.array(splice, { minLength: 1, maxLength: 6 }).map((splices) =>
    splices.reduce((now, { at, gone, by }) => {
      const place = Math.floor(at * now.length);
      return now.slice(0, place) + by + now.slice(place + gone);
    }, text),
  );
};
