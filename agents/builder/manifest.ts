import { isDeepStrictEqual } from 'node:util';
import { isMap, isScalar, isSeq, parseDocument, type YAMLSeq } from 'yaml';

/** The manifest can't be edited as text. The message is a sentence. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}

const parse = (text: string) => {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) throw new ManifestError(`the manifest is not YAML: ${error.message.split('\n')[0]}`);
  if (!isMap(document.contents)) throw new ManifestError('the manifest is not a YAML mapping');
  return document;
};

const entriesOf = (sequence: YAMLSeq): string[] =>
  sequence.items.map((item) => {
    if (isScalar(item) && typeof item.value === 'string') return item.value;
    throw new ManifestError("the manifest's includes hold something that is not a plain path");
  });

const includesSequence = (document: ReturnType<typeof parse>): YAMLSeq | undefined => {
  const node = document.get('includes', true);
  if (node === undefined) throw new ManifestError('the manifest has no "includes:"');
  if (isScalar(node) && node.value === null) return undefined;
  if (!isSeq(node)) throw new ManifestError("the manifest's includes are not a sequence");
  return node;
};

/** The entries of a manifest's `includes`. @throws {ManifestError} */
export const readIncludes = (text: string): string[] => {
  const sequence = includesSequence(parse(text));
  return sequence ? entriesOf(sequence) : [];
};

const endOfLine = (text: string, at: number): number => {
  const end = text.indexOf('\n', at);
  return end < 0 ? text.length : end + 1;
};

/** Inserts lines after the line that holds `at`, with the same line ends, even if the text's last line has none. */
const insertLines = (text: string, at: number, lines: readonly string[]): string => {
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const end = endOfLine(text, at);
  const open = end === text.length && !text.endsWith('\n');
  const added = open ? newline + lines.join(newline) : lines.map((line) => line + newline).join('');
  return text.slice(0, end) + added + text.slice(end);
};

const insert = (text: string, added: readonly string[]): string => {
  const document = parse(text);
  const sequence = includesSequence(document);
  const last = sequence?.items.at(-1);
  const lastEnd = isScalar(last) ? last.range?.[1] : undefined;
  if (sequence === undefined || last === undefined || lastEnd === undefined) {
    const written = sequence?.range;
    if (written) return `${text.slice(0, written[0])}[${added.join(', ')}]${text.slice(written[1])}`;
    const key = isMap(document.contents)
      ? document.contents.items.find(({ key }) => isScalar(key) && key.value === 'includes')?.key
      : undefined;
    const at = isScalar(key) ? (key.range?.[1] ?? 0) : 0;
    return insertLines(
      text,
      at,
      added.map((entry) => `  - ${entry}`),
    );
  }
  if (sequence.flow) return `${text.slice(0, lastEnd)}, ${added.join(', ')}${text.slice(lastEnd)}`;
  const start = isScalar(last) ? (last.range?.[0] ?? 0) : 0;
  const indent = /^([ ]*-[ ]+)/.exec(text.slice(text.lastIndexOf('\n', start - 1) + 1))?.[1];
  if (indent === undefined)
    throw new ManifestError("the last of the manifest's includes is not on a line of its own");
  return insertLines(
    text,
    lastEnd,
    added.map((entry) => indent + entry),
  );
};

/**
 * Adds entries to the end of a manifest's `includes`, as text: comments, order and layout of the rest stay byte for
 * byte. Entries that are there already stay where they are.
 * @throws {ManifestError} if it has no such list, or more than these entries would change in its meaning.
 */
export const addIncludes = (
  text: string,
  entries: readonly string[],
): { text: string; before: string[]; after: string[] } => {
  const before = readIncludes(text);
  const added = [...new Set(entries)].filter((entry) => !before.includes(entry));
  if (added.length === 0) return { text, before, after: before };
  const edited = insert(text, added);
  const after = [...before, ...added];
  const meant = { ...parse(text).toJS(), includes: after };
  if (!isDeepStrictEqual(parse(edited).toJS(), meant))
    throw new ManifestError("the manifest's includes are written in a way that can't be edited as text");
  return { text: edited, before, after };
};
