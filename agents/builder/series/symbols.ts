import { type HunkCode, readHunk, type Token } from './c-tokens.ts';
import { type FileDiff, type Hunk, parsePatch } from './series.ts';

/** What a patch's added lines of C show about symbols. In doubt, a name is in none of the sets. */
export interface PatchSymbols {
  /** Functions, macros, types, enumerators and file-level variables that the patch defines or declares. */
  defines: Set<string>;
  /** Names that the patch declares locally: locals, parameters, labels. They don't matter outside. */
  introduces: Set<string>;
  /** Functions that it calls and constants that it names. */
  uses: Set<string>;
  /** Types that it names after `struct`, `union` or `enum`. */
  types: Set<string>;
  /** Constants inside a macro's arguments, which the macro may paste into another name. */
  mayUse: Set<string>;
  /** Every identifier that is not a member of a struct. */
  mentions: Set<string>;
  exports: Set<string>;
  /** The arguments of generators such as `TRACE_EVENT(name, …)`, which make further names from them. */
  pasted: Set<string>;
}

const words = (text: string): Set<string> => new Set(text.split(/\s+/));
const control = words(
  'return else do case goto sizeof typeof __typeof__ __typeof if for while switch default break continue alignof _Alignof __alignof__',
);
const types = words(
  'void char short int long float double signed unsigned _Bool const volatile static extern inline register auto typedef struct union enum restrict __inline __inline__ __restrict _Noreturn',
);
const builtin = words(
  'asm __asm__ __asm volatile __volatile__ __attribute__ __attribute defined NULL true false bool __func__ __FUNCTION__ __extension__ _Static_assert _Generic _Pragma __auto_type',
);

const isName = (text: string | undefined): text is string => text !== undefined && /^[A-Za-z_]/.test(text);
const isKeyword = (text: string): boolean => control.has(text) || types.has(text) || builtin.has(text);
const isReserved = (text: string): boolean => text.startsWith('__builtin_') || /^__[A-Z_]+__$/.test(text);
/** Names that Kconfig defines, and macros that every module uses. */
const isEverywhere = (text: string): boolean => /^(CONFIG_|EXPORT_SYMBOL|MODULE_)/.test(text);
const isConstant = (text: string): boolean => /^_*[A-Z][A-Z0-9_]+$/.test(text);
/** Whether a name after `text` is a declaration: `text` is a type or another word, not an operator. */
const declares = (text: string | undefined): boolean => isName(text) && !control.has(text);

/** How many words back to look for a brace's meaning. Nobody writes longer heads. */
const longestHead = 40;

type Brace = 'enum' | 'values' | 'block' | 'unknown';

const braceOf = (before: readonly Token[]): Brace => {
  if (before.at(-1)?.text === '=' || before.at(-1)?.text === ')')
    return before.at(-1)?.text === '=' ? 'values' : 'block';
  const names = before.map(({ text }) => text);
  if (names.includes('enum') && !names.includes('(')) return 'enum';
  return 'block';
};

/** The kind of block that the hunk is in, according to its header. */
const outerBrace = (hunk: Hunk): Brace => {
  const context = hunk.header.replace(/^@@[^@]*@@\s?/, '');
  if (/^(typedef\s+)?enum\b[^(=]*$/.test(context)) return 'enum';
  if (/=\s*(?:\{\s*)?$/.test(context)) return 'values';
  return /[({]/.test(context) ? 'block' : 'unknown';
};

/** Adds to `found` what one run of tokens shows. */
const readTokens = (tokens: readonly Token[], outer: Brace, found: PatchSymbols): void => {
  const braces: Brace[] = [];
  /** For each open parenthesis, whether it holds a macro's arguments. */
  const parens: boolean[] = [];
  let statement = 0;
  for (const [at, token] of tokens.entries()) {
    const { text, added } = token;
    const before = tokens[at - 1]?.text;
    const next = tokens[at + 1]?.text;
    if (text === '(') {
      parens.push(before !== undefined && isConstant(before));
    } else if (text === ')') parens.pop();
    else if (text === '{') {
      braces.push(braceOf(tokens.slice(Math.max(statement, at - longestHead), at)));
      if (parens.length === 0) statement = at + 1;
    } else if (text === '}') {
      braces.pop();
      if (parens.length === 0 && next !== ';' && !isName(next)) statement = at + 1;
    } else if (text === ';' && parens.length === 0) statement = at + 1;
    if (!isName(text)) continue;
    if (token.column0 && parens.length === 0 && !declares(before) && before !== '*' && before !== '}')
      statement = at;
    if (isKeyword(text) || isReserved(text)) continue;
    if (before === '.' || before === '->' || before === '##' || next === '##') continue;
    if (added) found.mentions.add(text);

    const start = tokens[statement];
    const atFileLevel = parens.length === 0 && start?.column0 === true && braces.length === 0;
    const define = () => {
      if (added) found.defines.add(text);
    };
    if (before === 'struct' || before === 'union' || before === 'enum') {
      if (next === '{') define();
      else if (next === ';') found.introduces.add(text);
      else if (added) found.types.add(text);
    } else if (before === 'goto' || (next === ':' && token.first && outer !== 'values')) {
      found.introduces.add(text);
    } else if (next === '(' && !(before === '*' && tokens[at - 2]?.text === '(')) {
      if (isConstant(text)) {
        if (added) found.uses.add(text);
        if (atFileLevel && !/^MODULE_/.test(text)) readArguments(tokens, at, found);
      } else if (atFileLevel && at !== statement && (declares(before) || before === '*')) define();
      else if (declares(before)) found.introduces.add(text);
      else if (added) found.uses.add(text);
    } else if (before === '*' && tokens[at - 2]?.text === '(' && next === ')') {
      if (start?.text === 'typedef') define();
      else found.introduces.add(text);
    } else if (start?.text === 'typedef' && next === ';' && parens.length === 0) {
      define();
    } else if (
      parens.length === 0 &&
      (braces.at(-1) ?? outer) === 'enum' &&
      (token.first || before === '{' || before === ',')
    ) {
      define();
    } else if (declares(before) || (before === '*' && !isConstant(text))) {
      if (atFileLevel && (next === '=' || next === ';' || next === '[')) define();
      else found.introduces.add(text);
    } else if (isConstant(text)) {
      const brace = braces.at(-1) ?? outer;
      // The head of an enum or of a call may be above the hunk's first line.
      if (brace === 'unknown' && parens.length === 0 && token.first && (next === ',' || next === '='))
        found.introduces.add(text);
      else if (added) (parens.includes(true) ? found.mayUse : found.uses).add(text);
    }
  }
};

/** Reads the plain arguments of a macro at file level. */
const readArguments = (tokens: readonly Token[], at: number, found: PatchSymbols): void => {
  const exporting = /^EXPORT_SYMBOL/.test(tokens[at]?.text ?? '');
  for (let depth = 0, look = at + 1; look < tokens.length; look++) {
    const { text, added } = tokens[look] ?? { text: ')', added: false };
    if (text === '(') depth++;
    if (text === ')' && --depth === 0) return;
    const next = tokens[look + 1]?.text;
    if (depth !== 1 || !isName(text) || (next !== ',' && next !== ')')) continue;
    if (exporting && added) found.exports.add(text);
    if (!exporting) found.pasted.add(text);
  }
};

const readCode = ({ tokens, defines }: HunkCode, hunk: Hunk, found: PatchSymbols): void => {
  readTokens(tokens, outerBrace(hunk), found);
  for (const { name, added, parameters, body } of defines) {
    if (added) found.defines.add(name);
    for (const parameter of parameters) found.introduces.add(parameter);
    // A macro's body is not at file level: its first word is a use.
    readTokens(
      body.map((token) => ({ ...token, column0: false })),
      'block',
      found,
    );
  }
};

const isC = ({ path }: FileDiff): boolean => /\.[ch]$/.test(path);

/**
 * Reads which symbols a patch defines, uses and exports, from the lines that it adds to C files. It is not a compiler:
 * a name counts as used if it is called, is all capitals, or follows `struct`, `union` or `enum`. Members, locals,
 * labels, conditions of the preprocessor, strings and comments don't count, and neither do `CONFIG_…`, `EXPORT_SYMBOL…`
 * and `MODULE_…`.
 */
export const readSymbols = (patch: string): PatchSymbols => {
  const found: PatchSymbols = {
    defines: new Set(),
    introduces: new Set(),
    uses: new Set(),
    types: new Set(),
    mayUse: new Set(),
    mentions: new Set(),
    exports: new Set(),
    pasted: new Set(),
  };
  for (const file of parsePatch(patch).filter(isC))
    for (const hunk of file.hunks) readCode(readHunk(hunk), hunk, found);
  for (const used of [found.uses, found.mayUse])
    for (const name of used)
      if (isEverywhere(name) || (found.introduces.has(name) && !found.defines.has(name))) used.delete(name);
  return found;
};
