import { type Document, isMap, isNode, isPair, isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { printable } from './printable.ts';

/** Something wrong in a file that a person wrote. Lines and columns count from 1. */
export interface FileFault {
  line: number;
  column: number;
  message: string;
}

type Path = readonly PropertyKey[];

/** Where in the text a value stands; for a key that should not be there, where the key stands. */
const placeOf = (document: Document, lines: LineCounter, path: Path, key?: string) => {
  let found: unknown;
  let depth = path.length;
  for (; depth >= 0; depth -= 1) {
    found = depth === 0 ? document.contents : document.getIn(path.slice(0, depth) as string[], true);
    if (isNode(found)) break; // the nearest thing that is there: a missing key is reported where it should be
  }
  if (key !== undefined && isMap(found)) {
    const pair = found.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === key);
    if (pair && isScalar(pair.key)) found = pair.key;
  } else if (depth === path.length && path.length > 0) {
    // A scalar is shown at its own place; for a map or list, the place of its key says more than its first line.
    const parent = document.getIn(path.slice(0, -1) as string[], true);
    const last = path.at(-1);
    const container = path.length === 1 ? document.contents : parent;
    if (!isScalar(found) && isMap(container)) {
      const pair = container.items.find((item) => isScalar(item.key) && item.key.value === last);
      if (pair && isScalar(pair.key)) found = pair.key;
    }
  }
  const offset = isNode(found) ? (found.range?.[0] ?? 0) : 0;
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
};

/** Names an entry of a list by its own id or name, otherwise by its place, counted from 1. */
const entryName = (entry: unknown, index: number): string => {
  const { id, name } = (typeof entry === 'object' && entry !== null ? entry : {}) as Record<string, unknown>;
  const own = id ?? name;
  return typeof own === 'string' ? own : `${index + 1}`;
};

const spell = (path: Path, raw: unknown): string => {
  let at: unknown = raw;
  return path
    .map((part) => {
      at = typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[part] : undefined;
      return typeof part === 'number' ? `[${entryName(at, part)}]` : `.${String(part)}`;
    })
    .join('')
    .replace(/^\./, '');
};

/** Our own rules say what a value `must be` or `is`; zod's say what was expected, after a name for the kind of fault. */
const sentence = (what: string, message: string): string =>
  /^(must|is|has) /.test(message)
    ? `${what} ${message}`
    : `${what}: ${message.replace(/^(Invalid input|Too small|Too big): /, '')}`;

const faultsOfIssue = (
  document: Document,
  lines: LineCounter,
  issue: z.core.$ZodIssue,
  raw: unknown,
): FileFault[] => {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      ...placeOf(document, lines, issue.path, key),
      message: `unknown key "${key}"${issue.path.length > 0 ? ` in ${spell(issue.path, raw)}` : ''}`,
    }));
  // A record whose key is of the wrong form: the message about the key is the useful one.
  const message = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message;
  const missing = issue.code === 'invalid_type' && message.includes('received undefined');
  return [
    {
      ...(issue.code === 'invalid_key'
        ? placeOf(document, lines, issue.path.slice(0, -1), String(issue.path.at(-1)))
        : placeOf(document, lines, issue.path)),
      message: missing
        ? `${spell(issue.path, raw)} is missing`
        : sentence(spell(issue.path, raw) || 'the file', message),
    },
  ];
};

export interface ReadYaml<Value> {
  /** The value, if the text fits the schema; its own rules may still find faults. */
  value: Value | undefined;
  faults: FileFault[];
  /** What the text holds, whether or not it fits the schema; undefined if it is not YAML. */
  raw: unknown;
  /** Where a value stands, for rules that the schema can't express. */
  place(path: Path): { line: number; column: number };
}

/** Nobody writes more than this by hand, and the time to read a file grows with its size. */
export const longestYamlBytes = 1024 * 1024;
/** How deep lists and maps may nest. */
const deepest = 50;

/** Whether brackets or indentation nest deeper than any file of ours: the parser would run out of stack. */
const isTooDeep = (text: string): boolean => {
  let open = 0;
  for (const letter of text) {
    if (letter === '[' || letter === '{') open += 1;
    else if (letter === ']' || letter === '}') open = Math.max(open - 1, 0);
    if (open > deepest) return true;
  }
  return text.split('\n').some((line) => {
    const [lead = ''] = /^[\s?:-]*/.exec(line) ?? [];
    return lead.replaceAll(/\s/g, '').length > deepest || lead.length > deepest * 20;
  });
};

/** Why a text is refused before it is parsed; undefined if it is not. */
const unreadable = (text: string): string | undefined => {
  const bytes = Buffer.byteLength(text);
  if (bytes > longestYamlBytes) return `the file has ${bytes} bytes, at most ${longestYamlBytes} are read`;
  return isTooDeep(text) ? `the file nests lists and maps more than ${deepest} deep` : undefined;
};

/** Reads YAML against a schema and reports everything that is wrong with it, each fault at its place. */
export const readYaml = <Schema extends z.ZodType>(
  text: string,
  schema: Schema,
): ReadYaml<z.infer<Schema>> => {
  const why = unreadable(text);
  if (why !== undefined) {
    const place = () => ({ line: 1, column: 1 });
    return { value: undefined, faults: [{ ...place(), message: why }], raw: undefined, place };
  }
  const lines = new LineCounter();
  // The schema refuses what the parser would only warn about.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const place = (path: Path) => placeOf(document, lines, path);
  const broken = document.errors.map((error) => {
    const { line, col } = lines.linePos(error.pos[0]);
    return { line, column: col, message: error.message };
  });
  if (broken.length > 0) return { value: undefined, faults: broken, raw: undefined, place };
  let raw: unknown;
  try {
    raw = document.toJS();
  } catch (error) {
    // An alias without an anchor, or so many aliases that they expand to more than any file holds.
    const message = error instanceof Error ? error.message : String(error);
    return { value: undefined, faults: [{ line: 1, column: 1, message }], raw: undefined, place };
  }
  const parsed = schema.safeParse(raw);
  if (parsed.success) return { value: parsed.data, faults: [], raw, place };
  return {
    value: undefined,
    faults: parsed.error.issues.flatMap((issue) => faultsOfIssue(document, lines, issue, raw)),
    raw,
    place,
  };
};

/** Further faults are summed up in one line: a file with so many is some other kind of file. */
const mostFaults = 100;

/**
 * Returns `file:line:column: what is wrong`, one line per fault, in the order of the file, safe to print on a terminal.
 */
export const spellFaults = (file: string, faults: readonly FileFault[]): string[] => {
  const sorted = [...faults].sort((a, b) => a.line - b.line || a.column - b.column);
  const told = sorted.slice(0, mostFaults);
  const next = sorted[mostFaults];
  if (next) told.push({ ...next, message: `and ${sorted.length - mostFaults} more faults from here on` });
  return told.map(({ line, column, message }) => printable(`${file}:${line}:${column}: ${message}`));
};
