/**
 * Looks up the values of a script's variable, as far as the text tells: an array has several values, a string has one.
 */
export type BashVariables = (name: string) => readonly string[] | undefined;

/**
 * The limits of what a word may expand to. A text of a few lines can expand to more than any memory holds, and can keep
 * a regular expression busy for ever. Beyond these limits a word counts as unknown.
 */
const most = { words: 2000, letters: 64 * 1024, globbedLetters: 256, globStars: 2, level: 20 };

/** Whether values are more than any PKGBUILD's variable holds. */
export const isTooMuch = (values: readonly string[]): boolean =>
  values.length > most.words || values.reduce((sum, { length }) => sum + length, 0) > most.letters;

const endOfQuoted = (raw: string, at: number): number => {
  const quote = raw[at];
  let i = at + 1;
  while (i < raw.length && raw[i] !== quote) i += raw[i] === '\\' && quote !== "'" ? 2 : 1;
  return i + 1;
};

const endOfBraces = (raw: string, at: number): number => {
  let depth = 0;
  for (let i = at; i < raw.length; i++) {
    const char = raw[i];
    if (char === '\\') i++;
    else if (char === '"' || char === "'") i = endOfQuoted(raw, i) - 1;
    else if (char === '{') depth++;
    else if (char === '}' && --depth === 0) return i + 1;
  }
  return -1;
};

/** Cuts `a,b{c,d}` at its own commas. */
const alternatives = (inner: string): string[] => {
  const found: string[] = [];
  let from = 0;
  for (let i = 0; i < inner.length; i++) {
    const char = inner[i];
    if (char === '\\') i++;
    else if (char === '"' || char === "'") i = endOfQuoted(inner, i) - 1;
    else if (char === '{') {
      const end = endOfBraces(inner, i);
      if (end > 0) i = end - 1;
    } else if (char === ',') {
      found.push(inner.slice(from, i));
      from = i + 1;
    }
  }
  return [...found, inner.slice(from)];
};

const range = (inner: string): string[] | undefined => {
  const match = /^(-?\d+)\.\.(-?\d+)$/.exec(inner);
  if (!match) return undefined;
  const [from, to] = [Number(match[1]), Number(match[2])];
  if (!(Math.abs(to - from) < most.words)) return [];
  const width = /^-?0\d/.test(`${match[1]}`) || /^-?0\d/.test(`${match[2]}`) ? `${match[1]}`.length : 0;
  const step = from <= to ? 1 : -1;
  return Array.from({ length: Math.abs(to - from) + 1 }, (_, n) =>
    String(from + n * step).padStart(width, '0'),
  );
};

/**
 * Brace expansion, which bash does first and on the bare text: `x{,.sig}` → `x`, `x.sig`. Undefined if it is too much.
 */
const expandBraces = (raw: string, level = 0): string[] | undefined => {
  if (level > most.level || raw.length > most.letters) return undefined;
  for (let i = 0; i < raw.length; i++) {
    const char = raw[i];
    if (char === '\\') i++;
    else if (char === '"' || char === "'") i = endOfQuoted(raw, i) - 1;
    else if (char === '$' && raw[i + 1] === '{') {
      const end = endOfBraces(raw, i + 1);
      if (end < 0) return undefined;
      i = end - 1;
    } else if (char === '{') {
      const end = endOfBraces(raw, i);
      if (end < 0) continue;
      const inner = raw.slice(i + 1, end - 1);
      const parts = range(inner) ?? alternatives(inner);
      if (parts.length === 0) return undefined;
      if (parts.length < 2) continue;
      const words: string[] = [];
      for (const part of parts) {
        const more = expandBraces(raw.slice(0, i) + part + raw.slice(end), level + 1);
        if (!more) return undefined;
        words.push(...more);
        if (isTooMuch(words)) return undefined;
      }
      return words;
    }
  }
  return [raw];
};

const isOrdered = (bracket: string): boolean =>
  [...bracket.matchAll(/(.)-(.)/gsu)].every(([, from = '', to = '']) => from <= to);

/** Whether a regular expression can express a pattern and match it in reasonable time. */
const isPlainGlob = (pattern: string, value: string): boolean => {
  const stars = pattern.match(/\*+/g)?.length ?? 0;
  if (stars > 0 && (stars > most.globStars || value.length > most.globbedLetters)) return false;
  // A range that goes backwards, or classes and escapes inside brackets.
  return (pattern.match(/\[[^\]]*\]?/g) ?? []).every(
    (bracket) => bracket.endsWith(']') && !/[\\[:]/.test(bracket.slice(1)) && isOrdered(bracket.slice(1, -1)),
  );
};

/** A glob pattern as a regular expression without anchors. `lazy` takes the shortest match of `*`. */
const globSource = (pattern: string, lazy: boolean): string =>
  pattern
    .replace(/\*+/g, '*')
    .replace(/\\(.)|[*?]|\[!?[^\][]+\]|[.+^${}()|\\\][]/g, (part, escaped?: string) => {
      if (escaped !== undefined) return escaped.replace(/[^\w]/, '\\$&');
      if (part === '*') return lazy ? '[^]*?' : '[^]*';
      if (part === '?') return '[^]';
      if (part.length > 1) return part.replace(/^\[!/, '[^');
      return `\\${part}`;
    });

const edited = (value: string, operator: string, rest: string): string | undefined => {
  if (/^[#%/]/.test(operator) && !isPlainGlob(rest, value)) return undefined;
  const glob = (lazy: boolean) => globSource(rest, lazy);
  switch (operator) {
    case '#':
      return value.replace(new RegExp(`^(?:${glob(true)})`), '');
    case '##':
      return value.replace(new RegExp(`^(?:${glob(false)})`), '');
    case '%': {
      for (let i = value.length; i >= 0; i--)
        if (new RegExp(`^(?:${glob(false)})$`).test(value.slice(i))) return value.slice(0, i);
      return value;
    }
    case '%%':
      return value.replace(new RegExp(`(?:${glob(false)})$`), '');
    case '/':
    case '//': {
      const slash = /(?<!\\)\//.exec(rest)?.index ?? rest.length;
      const [pattern, by] = [rest.slice(0, slash), rest.slice(slash + 1)];
      return value.replace(new RegExp(globSource(pattern, false), operator === '//' ? 'g' : ''), () => by);
    }
    case ',,':
      return rest === '' ? value.toLowerCase() : undefined;
    case '^^':
      return rest === '' ? value.toUpperCase() : undefined;
    case ':-':
    case '-':
      return value || rest;
    default:
      return undefined;
  }
};

/** Expands what is inside `${…}`. */
const expandParameter = (
  inner: string,
  variables: BashVariables,
  level: number,
): readonly string[] | undefined => {
  if (level > most.level) return undefined;
  const match = /^([A-Za-z_]\w*)(?:\[(@|\*|\d+)\])?(##|#|%%|%|\/\/|\/|,,|\^\^|:-|-|$)(.*)$/s.exec(inner);
  if (!match) return undefined;
  const [, name = '', index, operator = '', rest = ''] = match;
  const values = variables(name);
  if (!values) return undefined;
  const chosen = index === '@' || index === '*' ? values : [values[Number(index ?? 0)] ?? ''];
  if (operator === '') return chosen;
  const argument = expandOne(rest, variables, level + 1);
  if (argument === undefined) return undefined;
  const results = chosen.map((value) => edited(value, operator, argument));
  return results.every((result) => result !== undefined) ? results : undefined;
};

/** Quote removal and parameters. A word that is a single `${name[@]}` expands to all its values. */
const expandParts = (raw: string, variables: BashVariables, level = 0): readonly string[] | undefined => {
  const whole = /^"?\$\{([^{}]*)\}"?$/.exec(raw);
  if (whole?.[1]?.includes('[@]')) return expandParameter(whole[1], variables, level);
  let value = '';
  let quoted = false;
  for (let i = 0; i < raw.length; i++) {
    const char = raw[i] ?? '';
    if (char === '"') quoted = !quoted;
    else if (char === "'" && !quoted) {
      const end = raw.indexOf("'", i + 1);
      if (end < 0) return undefined;
      value += raw.slice(i + 1, end);
      i = end;
    } else if (char === '\\') {
      const next = raw[++i] ?? '';
      if (next !== '\n') value += quoted && !/["$`\\]/.test(next) ? `\\${next}` : next;
    } else if (char === '`') return undefined;
    else if (char === '$') {
      const name = /^[A-Za-z_]\w*/.exec(raw.slice(i + 1))?.[0];
      const end = raw[i + 1] === '{' ? endOfBraces(raw, i + 1) : i + 1 + (name?.length ?? 0);
      const inner = raw[i + 1] === '{' ? raw.slice(i + 2, end - 1) : name;
      if (inner === undefined || end < 0) return undefined;
      const values = expandParameter(inner, variables, level);
      if (!values) return undefined;
      value += values.join(' ');
      i = end - 1;
    } else value += char;
    if (value.length > most.letters) return undefined;
  }
  return [value];
};

/** The single value of a word without brace expansion; undefined if only running it could tell. */
const expandOne = (raw: string, variables: BashVariables, level: number): string | undefined => {
  const values = expandParts(raw, variables, level);
  return values?.length === 1 ? values[0] : values?.join(' ');
};

/**
 * Returns the values to which bash expands a word: brace expansion, parameters, quote removal. Returns undefined if the
 * text alone can't tell: command substitution, unset variables, expansions that are not known here. Globs stay as they
 * are.
 */
export const expandWord = (raw: string, variables: BashVariables): string[] | undefined => {
  const values: string[] = [];
  const parts = expandBraces(raw);
  if (!parts) return undefined;
  for (const part of parts) {
    const expanded = expandParts(part, variables);
    if (!expanded) return undefined;
    values.push(...expanded);
    if (isTooMuch(values)) return undefined;
  }
  return values;
};
