/**
 * A piece of bash source, by its place in the text. An assignment of an array is one word that carries its
 * elements; `( … )` elsewhere is operators.
 */
export interface BashToken {
  kind: 'word' | 'operator' | 'comment' | 'newline';
  raw: string;
  start: number;
  end: number;
  array?: BashArray;
}

/** The content of the parentheses of `name=( … )`: words and comments in their order. */
export interface BashArray {
  /** The offsets of `(` and `)`. */
  open: number;
  close: number;
  elements: BashToken[];
  comments: BashToken[];
}

/** The reader does not understand the text as bash. `offset` is where it gave up. */
export class BashSyntaxError extends Error {
  override readonly name = 'BashSyntaxError';
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** The line, counted from 1, that holds an offset. */
export const lineOf = (text: string, offset: number): number => text.slice(0, offset).split('\n').length;

/** How deep quotes and substitutions may nest: nobody writes deeper ones, and the stack is limited. */
const deepest = 50;

const closing = (text: string, at: number, open: string, close: string, level: number): number => {
  if (level > deepest) throw new BashSyntaxError(`more than ${deepest} nested quotes and substitutions`, at);
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    const char = text[i];
    if (char === '\\') i++;
    else if (char === "'" && open !== '{') i = endOfSingle(text, i) - 1;
    else if (char === '"') i = endOfDouble(text, i, level + 1) - 1;
    else if (char === '`') i = endOfBackticks(text, i) - 1;
    else if (char === '$' && (text[i + 1] === '{' || text[i + 1] === '('))
      i = endOfDollar(text, i, level + 1) - 1;
    else if (char === '#' && open === '(' && /[\s;(]/.test(text[i - 1] ?? ' '))
      while (i + 1 < text.length && text[i + 1] !== '\n') i++;
    else if (char === open) depth++;
    else if (char === close && --depth === 0) return i + 1;
  }
  throw new BashSyntaxError(`"${open}" without its "${close}"`, at);
};

const endOfSingle = (text: string, at: number): number => {
  const end = text.indexOf("'", at + 1);
  if (end < 0) throw new BashSyntaxError("a ' without its end", at);
  return end + 1;
};

const endOfBackticks = (text: string, at: number): number => {
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '`') return i + 1;
  }
  throw new BashSyntaxError('a ` without its end', at);
};

const endOfDouble = (text: string, at: number, level = 0): number => {
  for (let i = at + 1; i < text.length; i++) {
    const char = text[i];
    if (char === '\\') i++;
    else if (char === '`') i = endOfBackticks(text, i) - 1;
    else if (char === '$' && (text[i + 1] === '{' || text[i + 1] === '('))
      i = endOfDollar(text, i, level + 1) - 1;
    else if (char === '"') return i + 1;
  }
  throw new BashSyntaxError('a " without its end', at);
};

/** The end of what begins with `$`: `${…}`, `$(…)`, `$((…))`, `$'…'`, `$name`. */
const endOfDollar = (text: string, at: number, level = 0): number => {
  const next = text[at + 1];
  if (next === '{') return closing(text, at + 1, '{', '}', level);
  if (next === '(') return closing(text, at + 1, '(', ')', level);
  if (next === "'") {
    for (let i = at + 2; i < text.length; i++) {
      if (text[i] === '\\') i++;
      else if (text[i] === "'") return i + 1;
    }
    throw new BashSyntaxError("a $' without its end", at);
  }
  return at + 1;
};

const endsWord = /[\s;&|<>()]/;

/** The end of the word that begins at `at`, quotes and nesting included. */
const endOfWord = (text: string, at: number): number => {
  let i = at;
  while (i < text.length) {
    const char = text[i] ?? '';
    if (char === '\\') i += 2;
    else if (char === "'") i = endOfSingle(text, i);
    else if (char === '"') i = endOfDouble(text, i);
    else if (char === '`') i = endOfBackticks(text, i);
    else if (char === '$') i = endOfDollar(text, i);
    else if (endsWord.test(char)) break;
    else i++;
  }
  return Math.min(i, text.length);
};

const endOfLine = (text: string, at: number): number => {
  const end = text.indexOf('\n', at);
  return end < 0 ? text.length : end;
};

const opensArray = /^[A-Za-z_]\w*\+?=$/;

/**
 * Reads the array whose `(` is at `open`.
 * @throws {BashSyntaxError}
 */
export const readArray = (text: string, open: number): BashArray => {
  const elements: BashToken[] = [];
  const comments: BashToken[] = [];
  let i = open + 1;
  while (i < text.length) {
    const char = text[i] ?? '';
    const start = i;
    if (char === ')') return { open, close: i, elements, comments };
    if (/\s/.test(char)) i++;
    else if (char === '\\' && text[i + 1] === '\n') i += 2;
    else if (char === '#') {
      i = endOfLine(text, i);
      comments.push({ kind: 'comment', raw: text.slice(start, i), start, end: i });
    } else if (endsWord.test(char)) {
      throw new BashSyntaxError(`"${char}" inside an array`, i);
    } else {
      i = endOfWord(text, i);
      elements.push({ kind: 'word', raw: text.slice(start, i), start, end: i });
    }
  }
  throw new BashSyntaxError('an array without its ")"', open);
};

const operators = ['<<<', '<<-', '&>>', '<<', '>>', '&>', '>&', '<&', '&&', '||', ';;', '>|', '|&'];

/** The end of the bodies of the here-documents that were announced on the line before `at`. */
const afterHeredocs = (text: string, at: number, announced: { mark: string; tabs: boolean }[]): number => {
  let i = at;
  for (const { mark, tabs } of announced) {
    for (;;) {
      if (i >= text.length) throw new BashSyntaxError(`a here-document without its ${mark}`, at);
      const end = endOfLine(text, i);
      const line = text.slice(i, end);
      i = end + 1;
      if ((tabs ? line.replace(/^\t+/, '') : line) === mark) break;
    }
  }
  return i;
};

/**
 * Cuts bash source into words, operators, comments and newlines. Blanks and here-documents are left out.
 * @throws {BashSyntaxError}
 */
export const tokenize = (text: string): BashToken[] => {
  const tokens: BashToken[] = [];
  const heredocs: { mark: string; tabs: boolean }[] = [];
  let i = 0;
  while (i < text.length) {
    const start = i;
    const char = text[i] ?? '';
    const push = (kind: BashToken['kind'], end: number, array?: BashArray) => {
      i = end;
      tokens.push({ kind, raw: text.slice(start, end), start, end, ...(array ? { array } : {}) });
    };
    if (char === '\n') {
      push('newline', i + 1);
      i = afterHeredocs(text, i, heredocs.splice(0));
    } else if (/\s/.test(char)) i++;
    else if (char === '\\' && text[i + 1] === '\n') i += 2;
    else if (char === '#') push('comment', endOfLine(text, i));
    else if (text.startsWith('((', i)) push('word', closing(text, i, '(', ')', 0));
    else if (endsWord.test(char)) {
      push('operator', i + (operators.find((operator) => text.startsWith(operator, i))?.length ?? 1));
    } else {
      const end = endOfWord(text, i);
      const raw = text.slice(i, end);
      if (text[end] === '(' && opensArray.test(raw)) {
        const array = readArray(text, end);
        push('word', array.close + 1, array);
      } else {
        const before = tokens.at(-1);
        if (before?.kind === 'operator' && (before.raw === '<<' || before.raw === '<<-'))
          heredocs.push({ mark: raw.replace(/['"\\]/g, ''), tabs: before.raw === '<<-' });
        push('word', end);
      }
    }
  }
  return tokens;
};
