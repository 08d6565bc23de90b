import { type BashArray, BashSyntaxError, type BashToken, tokenize } from './bash-array.ts';
import { type BashVariables, expandWord, isTooMuch } from './bash-word.ts';

export interface BashAssignment {
  name: string;
  append: boolean;
  /** The value, where it is no array: its raw text and its place. */
  value: { raw: string; start: number; end: number };
  array?: BashArray;
  /** `name[3]=…`: its subscript. */
  subscript?: string;
  start: number;
  end: number;
  /** Inside `if`, `for`, `while`, `case` or a group. */
  conditional: boolean;
  /** The function in whose body it stands. */
  in?: string;
}

/** A simple command: words before and between redirections, with what it is redirected to. */
export interface BashCommand {
  words: BashToken[];
  assignments: BashAssignment[];
  redirections: { operator: string; target: BashToken }[];
  start: number;
  end: number;
  /** The function in whose body it stands. */
  in?: string;
  /** How many `if`, `for`, `while`, `case` it stands in, within its function. */
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

/** How deep blocks may stand in each other. */
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

/**
 * The commands, assignments and functions of a script, in the order of the text. It knows enough of bash's grammar
 * to tell which function and which loop a command stands in.
 * @throws {BashSyntaxError} if quotes, parentheses or braces don't pair.
 */
export const readScript = (text: string): BashScript => {
  const script: BashScript = { assignments: [], commands: [], functions: [] };
  const tokens = tokenize(text).filter((token) => token.kind !== 'comment');
  let body: { name: string; start: number } | undefined;
  let open: { word: string; start: number; loop?: BashLoop; ends?: { name: string; start: number } }[] = [];
  const deeper = (group: (typeof open)[number]) => {
    if (open.length >= deepest)
      throw new BashSyntaxError(`more than ${deepest} blocks in each other`, group.start);
    open.push(group);
  };
  let announced: { name: string; start: number } | undefined;
  let command: BashCommand | undefined;

  const begin = (at: BashToken): BashCommand => {
    command ??= {
      words: [],
      assignments: [],
      redirections: [],
      start: at.start,
      end: at.end,
      ...(body ? { in: body.name } : {}),
      nesting: open.filter(({ ends }) => !ends).length,
      loops: open.flatMap(({ loop }) => (loop ? [loop] : [])),
    };
    command.end = at.end;
    return command;
  };
  const finish = () => {
    if (command) script.commands.push(command);
    command = undefined;
  };

  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (!token) break;
    const next = tokens[i + 1];
    if (token.kind === 'newline') {
      finish();
    } else if (token.kind === 'operator') {
      if (redirections.has(token.raw) && next?.kind === 'word') {
        begin(token).redirections.push({ operator: token.raw, target: next });
        begin(next);
        i++;
      } else finish();
    } else if (!command && next?.raw === '(' && tokens[i + 2]?.raw === ')') {
      announced = { name: token.raw, start: token.start };
      i += 2;
    } else if (!command && token.raw === 'function' && next) {
      announced = { name: next.raw, start: token.start };
      i += next && tokens[i + 2]?.raw === '(' ? 3 : 1;
    } else if (!command && token.raw === '{') {
      deeper({ word: '{', start: token.start, ...(announced ? { ends: announced } : {}) });
      if (announced && !body) body = announced;
      announced = undefined;
    } else if (!command && token.raw === '}') {
      const group = open.pop();
      if (group?.word !== '{') throw new BashSyntaxError('a "}" that closes nothing', token.start);
      if (group.ends) script.functions.push({ ...group.ends, end: token.end });
      if (group.ends && group.ends === body) body = undefined;
    } else if (!command && openers.has(token.raw)) {
      let loop: BashLoop | undefined;
      if (token.raw === 'for' && next?.kind === 'word' && tokens[i + 2]?.raw === 'in') {
        loop = { variable: next.raw, over: [], start: token.start };
        for (i += 3; tokens[i]?.kind === 'word'; i++) loop.over.push(tokens[i] as BashToken);
      } else if (token.raw === 'case') while (i < tokens.length && tokens[i]?.raw !== 'in') i++;
      deeper({ word: token.raw, start: token.start, ...(loop ? { loop } : {}) });
    } else if (!command && closers.has(token.raw)) {
      const group = open.pop();
      if (!group || group.word === '{')
        throw new BashSyntaxError(`a "${token.raw}" that closes nothing`, token.start);
    } else if (!command && connectives.has(token.raw)) {
      // what follows is a command of its own
    } else {
      const at = begin(token);
      const conditional = open.some(({ ends }) => !ends);
      const prefix = at.words.every((word) =>
        /^(export|local|declare|typeset|readonly|-\w+)$/.test(word.raw),
      );
      const assignment = prefix ? assigned(token, conditional, body?.name) : undefined;
      if (assignment) {
        at.assignments.push(assignment);
        script.assignments.push(assignment);
      } else at.words.push(token);
    }
  }
  finish();
  const left = open.at(-1);
  open = [];
  if (left) throw new BashSyntaxError(`a "${left.word}" without its end`, left.start);
  return script;
};

/**
 * What the script's own top-level assignments give its variables, in the order of the text; a name in `known` is
 * not looked up. A variable that is set under a condition has no value that the text could tell.
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
