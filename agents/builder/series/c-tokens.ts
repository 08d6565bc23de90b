import type { Hunk } from './series.ts';

/** A word or sign of the C code after a hunk, without comments and the contents of strings. */
export interface Token {
  text: string;
  /** Whether the hunk adds its line; otherwise the line was there before. */
  added: boolean;
  /** Whether it is the first of its line. */
  first: boolean;
  /** Whether it is the first of its line, and not indented. */
  column0: boolean;
}

/** A `#define` of the preprocessor, whose body is separate code. */
export interface Define {
  name: string;
  added: boolean;
  parameters: string[];
  body: Token[];
}

export interface HunkCode {
  tokens: Token[];
  defines: Define[];
}

const isCommentLine = /^\s*\*(\s|\/|$)/;

/** A hunk may begin within a comment that was opened above it. */
const startsInComment = (lines: readonly string[]): boolean => {
  const text = lines.join('\n');
  const close = text.indexOf('*/');
  const open = text.indexOf('/*');
  if (close >= 0) return open < 0 || close < open;
  const written = lines.filter((line) => line.trim() !== '');
  return open < 0 && written.length > 0 && written.every((line) => isCommentLine.test(line));
};

/** The line's code: strings become `""`, comments a space. */
const codeOf = (line: string, inComment: boolean): { code: string; inComment: boolean } => {
  let code = '';
  for (let at = 0; at < line.length; at++) {
    if (inComment) {
      if (line.startsWith('*/', at)) {
        inComment = false;
        at++;
        code += ' ';
      }
    } else if (line.startsWith('//', at)) break;
    else if (line.startsWith('/*', at)) {
      inComment = true;
      at++;
    } else if (line[at] === '"' || line[at] === "'") {
      const quote = line[at];
      for (at++; at < line.length && line[at] !== quote; at++) if (line[at] === '\\') at++;
      code += '""';
    } else code += line[at];
  }
  return { code, inComment };
};

const sign = /[A-Za-z_]\w*|\d[\w.]*|->|\.\.\.|##|==|!=|<=|>=|""|[^\s\w]/g;

const tokensOf = (code: string, added: boolean): Token[] =>
  [...code.matchAll(sign)].map((found, order) => ({
    text: found[0],
    added,
    first: order === 0,
    column0: found.index === 0,
  }));

/** Not `push(...more)`: a line may hold more words than a call may have arguments. */
const append = (tokens: Token[], more: readonly Token[]): void => {
  for (const token of more) tokens.push(token);
};

/** Reads the code of a hunk as it is after the patch. Directives other than `#define` are left out. */
export const readHunk = (hunk: Hunk): HunkCode => {
  const kept = hunk.lines.filter((line) => !line.startsWith('-') && !line.startsWith('\\'));
  let inComment = startsInComment(kept.map((line) => line.slice(1)));
  const tokens: Token[] = [];
  const defines: Define[] = [];
  let directive: Define | 'other' | undefined;
  for (const line of kept) {
    const added = line.startsWith('+');
    const cleaned = codeOf(line.slice(1), inComment);
    inComment = cleaned.inComment;
    const code = cleaned.code.replace(/\\\s*$/, '');
    const continues = code !== cleaned.code;
    if (directive === undefined) {
      const define = /^\s*#\s*define\s+(\w+)(?:\(([^)]*)\))?/.exec(code);
      if (define) {
        const [all, name = '', parameters = ''] = define;
        directive = { name, added, parameters: parameters.match(/\w+/g) ?? [], body: [] };
        append(directive.body, tokensOf(code.slice(all.length), added));
        defines.push(directive);
      } else if (/^\s*#/.test(code)) directive = 'other';
      else append(tokens, tokensOf(code, added));
    } else if (directive !== 'other') append(directive.body, tokensOf(code, added));
    if (!continues) directive = undefined;
  }
  return { tokens, defines };
};
