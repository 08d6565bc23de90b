import { type BashArray, BashSyntaxError, type BashToken, tokenize } from './bash-array.ts';
import { type BashVariables, expandWord, isTooMuch } from './bash-word.ts';

export interface BashAssignment {
  name: string;
  append: boolean;
  /** The value, if it is not an array: its raw text and its place. */
  value: { raw: string; start: number; end: number };
  array?: BashArray;
  /** `name[3]=…`: its subscript. */
  subscript?: string;
  start: number;
  end: number;
  /** Inside `if`, `for`, `while`, `case` or a group. */
  conditional: boolean;
  /** The function whose body holds it. */
  in?: string;
}

/** A simple command: words before and between redirections, with what it is redirected to. */
export interface BashCommand {
  words: BashToken[];
  assignments: BashAssignment[];
  redirections: { operator: string; target: BashToken }[];
  start: number;
  end: number;
  /** The function whose body holds it. */
  in?: string;
  /** How many `if`, `for`, `while`, `case` surround it within its function. */
  nesting: number;
  /** The loops around it, outermost first. */
  loops: BashLoop[];
}

export interface BashLoop {
  variable: string;
  over: BashToken[];
  start: number;
}

export interface BashScript {
  assignments: BashAssignment[];
  commands: BashCommand[];
  functions: { name: string; start: number; end: number }[];
}

const openers = new Set(['if', 'for', 'while', 'until', 'case', 'select']);
const closers = new Set(['fi', 'done', 'esac']);
const connectives = new Set(['then', 'do', 'else', 'elif', '!', 'time']);
const redirections = new Set(['<', '>', '>>', '<<', '<<-', '<<<', '&>', '&>>', '>&', '<&', '>|']);

/** How deep blocks may nest. */
const deepest = 50;

const assigned = (token: BashToken, conditional: boolean, within?: string): BashAssignment | undefined => {
  const match = /^([A-Za-z_]\w*)(?:\[([^\]]*)\])?(\+?=)/.exec(token.raw);
  if (!match?.[1]) return undefined;
  const start = token.start + match[0].length;
  return {
    name: match[1],
    append: match[3] === '+=',
    value: { raw: token.raw.slice(match[0].length), start, end: token.end },
    ...(token.array ? { array: token.array } : {}),
    ...(match[2] === undefined ? {} : { subscript: match[2] }),
    start: token.start,
    end: token.end,
    conditional,
    ...(within === undefined ? {} : { in: within }),
  };
};

interface Named {
  name: string;
  start: number;
}

/** A block that is open while a script is read. */
interface Group {
  word: string;
  start: number;
  loop?: BashLoop;
  /** The function that ends with it. */
  ends?: Named;
}

/** Whether an assignment may follow this word of a command. */
const isPrefix = ({ raw }: BashToken): boolean => /^(export|local|declare|typeset|readonly|-\w+)$/.test(raw);

/** Reads a script token by token. */
class ScriptReader {
  readonly script: BashScript = { assignments: [], commands: [], functions: [] };
  readonly #tokens: readonly BashToken[];
  #at = 0;
  readonly #open: Group[] = [];
  #body: Named | undefined;
  #announced: Named | undefined;
  #command: BashCommand | undefined;

  constructor(text: string) {
    this.#tokens = tokenize(text).filter((token) => token.kind !== 'comment');
  }

  /** @throws {BashSyntaxError} if a block has no end. */
  read(): BashScript {
    for (; this.#at < this.#tokens.length; this.#at += 1) {
      const token = this.#peek(0);
      if (!token) break;
      if (token.kind === 'newline') this.#finish();
      else if (token.kind === 'operator') this.#operator(token);
      else if (this.#command || !this.#keyword(token)) this.#word(token);
    }
    this.#finish();
    const left = this.#open.at(-1);
    if (left) throw new BashSyntaxError(`a "${left.word}" without its end`, left.start);
    return this.script;
  }

  #peek(ahead: number): BashToken | undefined {
    return this.#tokens[this.#at + ahead];
  }

  #begin(at: BashToken): BashCommand {
    this.#command ??= {
      words: [],
      assignments: [],
      redirections: [],
      start: at.start,
      end: at.end,
      ...(this.#body ? { in: this.#body.name } : {}),
      nesting: this.#open.filter(({ ends }) => !ends).length,
      loops: this.#open.flatMap(({ loop }) => (loop ? [loop] : [])),
    };
    this.#command.end = at.end;
    return this.#command;
  }

  #finish(): void {
    if (this.#command) this.script.commands.push(this.#command);
    this.#command = undefined;
  }

  #deeper(group: Group): void {
    if (this.#open.length >= deepest)
      throw new BashSyntaxError(`more than ${deepest} nested blocks`, group.start);
    this.#open.push(group);
  }

  #operator(token: BashToken): void {
    const next = this.#peek(1);
    if (redirections.has(token.raw) && next?.kind === 'word') {
      this.#begin(token).redirections.push({ operator: token.raw, target: next });
      this.#begin(next);
      this.#at += 1;
    } else this.#finish();
  }

  /**
   * Reads a word that begins or ends a function or a block at the place of a command. @returns false if it is not one.
   */
  #keyword(token: BashToken): boolean {
    const next = this.#peek(1);
    if (next?.raw === '(' && this.#peek(2)?.raw === ')') {
      this.#announced = { name: token.raw, start: token.start };
      this.#at += 2;
    } else if (token.raw === 'function' && next) {
      this.#announced = { name: next.raw, start: token.start };
      this.#at += this.#peek(2)?.raw === '(' ? 3 : 1;
    } else if (token.raw === '{') this.#openBrace(token);
    else if (token.raw === '}') this.#closeBrace(token);
    else if (openers.has(token.raw)) this.#openBlock(token);
    else if (closers.has(token.raw)) {
      const group = this.#open.pop();
      if (!group || group.word === '{')
        throw new BashSyntaxError(`a "${token.raw}" that closes nothing`, token.start);
    } else return connectives.has(token.raw); // what follows is a separate command
    return true;
  }

  #openBrace(token: BashToken): void {
    const ends = this.#announced;
    this.#deeper({ word: '{', start: token.start, ...(ends ? { ends } : {}) });
    if (ends && !this.#body) this.#body = ends;
    this.#announced = undefined;
  }

  #closeBrace(token: BashToken): void {
    const group = this.#open.pop();
    if (group?.word !== '{') throw new BashSyntaxError('a "}" that closes nothing', token.start);
    if (group.ends) this.script.functions.push({ ...group.ends, end: token.end });
    if (group.ends && group.ends === this.#body) this.#body = undefined;
  }

  #openBlock(token: BashToken): void {
    const next = this.#peek(1);
    let loop: BashLoop | undefined;
    if (token.raw === 'for' && next?.kind === 'word' && this.#peek(2)?.raw === 'in') {
      loop = { variable: next.raw, over: [], start: token.start };
      this.#at += 3;
      for (let word = this.#peek(0); word?.kind === 'word'; word = this.#peek(0)) {
        loop.over.push(word);
        this.#at += 1;
      }
    } else if (token.raw === 'case')
      while (this.#at < this.#tokens.length && this.#peek(0)?.raw !== 'in') this.#at += 1;
    this.#deeper({ word: token.raw, start: token.start, ...(loop ? { loop } : {}) });
  }

  #word(token: BashToken): void {
    const at = this.#begin(token);
    const conditional = this.#open.some(({ ends }) => !ends);
    const assignment = at.words.every(isPrefix) ? assigned(token, conditional, this.#body?.name) : undefined;
    if (assignment) {
      at.assignments.push(assignment);
      this.script.assignments.push(assignment);
    } else at.words.push(token);
  }
}

/**
 * Reads the commands, assignments and functions of a script, in the order of the text. It knows enough of bash's
 * grammar to tell which function and which loops surround a command.
 * @throws {BashSyntaxError} if quotes, parentheses or braces don't pair.
 */
export const readScript = (text: string): BashScript => new ScriptReader(text).read();

/**
 * The values that the script's top-level assignments give its variables, in the order of the text. A name in `known`
 * keeps the value given there. A variable that is set under a condition has no value that the text could tell.
 */
export const scriptVariables = (
  script: BashScript,
  known: Readonly<Record<string, string>> = {},
): BashVariables => {
  const values = new Map<string, readonly string[] | undefined>();
  const lookUp: BashVariables = (name) =>
    Object.hasOwn(known, name) ? [known[name] ?? ''] : values.get(name);
  for (const assignment of script.assignments) {
    if (assignment.in !== undefined) continue;
    const { name, array, append, value } = assignment;
    const raws = array ? array.elements.map(({ raw }) => raw) : [value.raw];
    const expanded = raws.map((raw) => (array ? expandWord(raw, lookUp) : expandWord(`${raw}`, lookUp)));
    const before = append ? values.get(name) : [];
    const can =
      !assignment.conditional &&
      assignment.subscript === undefined &&
      before !== undefined &&
      expanded.every((part) => part !== undefined);
    const now = expanded.flatMap((part) => part ?? []);
    if (!can || isTooMuch([...before, ...now])) values.set(name, undefined);
    else if (array) values.set(name, [...before, ...now]);
    else values.set(name, append ? [`${before[0] ?? ''}${now[0] ?? ''}`, ...before.slice(1)] : now);
  }
  return lookUp;
};
