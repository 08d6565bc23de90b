import { type BashArray, type BashToken, lineOf } from './bash-array.ts';
import { type BashScript, readScript, scriptVariables } from './bash-script.ts';
import { type BashVariables, expandWord } from './bash-word.ts';
import { asPkgbuildError, PkgbuildError } from './pkgbuild-error.ts';
import { editPrepare } from './prepare-function.ts';
import { applyEdits, removeElement, type TextEdit } from './text-edit.ts';

export const sumKinds = ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'b2'] as const;
export type SumKind = (typeof sumKinds)[number];

/** A patch file as `source=()` names it, and its checksum of any kind, in lower-case hexadecimal. */
export interface BumpedPatch {
  file: string;
  sums: (kind: SumKind) => string;
}

export interface Bump {
  pkgrel: string;
  pkgver?: string;
  addPatches: readonly BumpedPatch[];
  /** Files to remove from `source=()`, with their sums and the lines of `prepare()` that apply them. */
  removePatches?: readonly string[];
  /** Files in `source=()` that get other contents: only their sums change. */
  replacePatches?: readonly BumpedPatch[];
}

/** An array over all its assignments: each element with the entries to which bash expands it. */
interface SourceArray {
  name: string;
  arrays: BashArray[];
  /** `entries` is undefined if the text can't tell. */
  elements: { token: BashToken; array: BashArray; entries: string[] | undefined }[];
  line: number;
}

/** A word in double quotes is one entry, even if only running it tells its value. */
const entriesOf = (raw: string, variables: BashVariables): string[] | undefined =>
  expandWord(raw, variables) ?? (/^"[^"]*"$/.test(raw) && !/\[[@*]\]|\$[@*]/.test(raw) ? [raw] : undefined);

const sourceArray = (
  text: string,
  script: BashScript,
  variables: BashVariables,
  name: string,
): SourceArray | undefined => {
  const assignments = script.assignments.filter((one) => one.name === name && one.in === undefined);
  const first = assignments[0];
  if (!first) return undefined;
  const arrays = assignments.map((assignment): BashArray => {
    const line = lineOf(text, assignment.start);
    if (assignment.conditional)
      throw new PkgbuildError(line, `${name} is set under a condition; expected it at the top level`);
    if (!assignment.array)
      throw new PkgbuildError(line, `${name} is set otherwise than by "${name}=( … )" or "${name}+=( … )"`);
    if (!assignment.append && assignment !== first && !assignment.value.raw.includes(`{${name}[@]}`))
      throw new PkgbuildError(line, `${name} is set a second time; expected "${name}+=( … )"`);
    return assignment.array;
  });
  const elements = arrays.flatMap((array) =>
    array.elements.map((token) => ({ token, array, entries: entriesOf(token.raw, variables) })),
  );
  return { name, arrays, elements, line: lineOf(text, first.start) };
};

/** `folder/x.patch`, `x.patch::https://…` → `x.patch`, as makepkg names the file. */
const sourceFile = (entry: string): string =>
  entry.includes('::') ? entry.slice(0, entry.indexOf('::')) : entry.slice(entry.lastIndexOf('/') + 1);

/** The element that contains entry `index` of the whole array, if every element before it can be counted. */
const elementAt = (array: SourceArray, index: number) => {
  let entry = 0;
  for (const element of array.elements) {
    if (!element.entries) return undefined;
    if (index < entry + element.entries.length) return element;
    entry += element.entries.length;
  }
  return undefined;
};

/** Puts another value into the same kind of quotes as an element. */
const quoteLike = (raw: string | undefined, value: string): string => {
  const quote = raw?.startsWith('"') ? '"' : raw === undefined || raw.startsWith("'") ? "'" : '';
  return `${quote}${value}${quote}`;
};

/** Adds values after the last element, separated by the same blanks as the existing elements. */
const appendElements = (text: string, { arrays }: SourceArray, values: readonly string[]): TextEdit => {
  const array = arrays.findLast(({ elements }) => elements.length > 0) ?? arrays.at(-1);
  if (!array) throw new TypeError('an array without an assignment');
  const last = array.elements.at(-1);
  if (!last) {
    const between = values.map((value) => quoteLike(undefined, value)).join(' ');
    return { start: array.open + 1, end: array.open + 1, by: between };
  }
  const previous = array.elements.at(-2);
  const gap = previous ? text.slice(previous.end, last.start) : '';
  const lineStart = text.lastIndexOf('\n', last.start - 1) + 1;
  const nextLine = `\n${text.slice(lineStart, last.start).replace(/\S/g, ' ')}`;
  const blank = previous && /^\s+$/.test(gap) ? gap.replace(/^\s*\n/, '\n') : nextLine;
  // A comment after the last element stays with it; what follows a comment has to begin on a new line.
  const lineEnd = text.indexOf('\n', last.end);
  const comment = array.comments.find(({ start }) => start >= last.end && start < lineEnd);
  const separator = comment && !blank.includes('\n') ? nextLine : blank;
  const at = comment?.end ?? last.end;
  return {
    start: at,
    end: at,
    by: values.map((value) => `${separator}${quoteLike(last.raw, value)}`).join(''),
  };
};

const literal = (text: string, script: BashScript, name: 'pkgrel' | 'pkgver', value: string): TextEdit => {
  const found = script.assignments.filter((one) => one.name === name && one.in === undefined);
  const [assignment] = found;
  if (!assignment) throw new PkgbuildError(1, `no "${name}=" at the top level; expected one`);
  const line = lineOf(text, found[1]?.start ?? assignment.start);
  if (found.length > 1) throw new PkgbuildError(line, `${name} is set a second time; expected it once`);
  const { raw, start } = assignment.value;
  const plain = /^(["']?)([A-Za-z0-9._+~]+)\1$/.exec(raw);
  if (!plain?.[2] || assignment.array || assignment.conditional)
    throw new PkgbuildError(
      line,
      `${name}=${raw} is not a plain value; expected one like "${name}=${value}"`,
    );
  const from = start + (plain[1]?.length ?? 0);
  return { start: from, end: from + plain[2].length, by: value };
};

/** A `source` or `source_<arch>` with its sums. */
interface Sources {
  source: SourceArray;
  sums: { kind: SumKind; array: SourceArray }[];
}

const readSources = (text: string, script: BashScript, variables: BashVariables): Sources[] => {
  const names = new Set(
    script.assignments
      .filter(({ in: within, name }) => within === undefined && /^source(_\w+)?$/.test(name))
      .map(({ name }) => name),
  );
  return [...names].sort().flatMap((name) => {
    const source = sourceArray(text, script, variables, name);
    if (!source) return [];
    const suffix = name.slice('source'.length);
    const odd = script.assignments.find((one) => one.name === `cksums${suffix}`);
    if (odd) throw new PkgbuildError(lineOf(text, odd.start), 'cksums are not reliable checksums');
    const sums = sumKinds.flatMap((kind) => {
      const array = sourceArray(text, script, variables, `${kind}sums${suffix}`);
      return array ? [{ kind, array }] : [];
    });
    if (sums.length === 0)
      throw new PkgbuildError(
        source.line,
        `${name} has no sums; expected one like "sha256sums${suffix}=( … )"`,
      );
    return [{ source, sums }];
  });
};

/** Finds a file: the sources that hold it, its element, and its index among all entries. */
const locate = (text: string, all: readonly Sources[], file: string) => {
  for (const sources of all) {
    let index = 0;
    for (const element of sources.source.elements) {
      const { entries, token } = element;
      const at = entries?.findIndex((entry) => sourceFile(entry) === file) ?? -1;
      if (at >= 0) return { sources, element, index: index + at };
      if (!entries)
        throw new PkgbuildError(
          lineOf(text, token.start),
          `only running it tells what ${token.raw} is; expected words that can be counted before ${file}`,
        );
      index += entries.length;
    }
  }
  const line = all[0]?.source.line ?? 1;
  throw new PkgbuildError(line, `${file} is not in source; expected it there, since it is to be changed`);
};

const sumElement = (text: string, { array }: Sources['sums'][number], index: number, file: string) => {
  const element = elementAt(array, index);
  if (!element)
    throw new PkgbuildError(
      array.line,
      `${array.name} has no entry ${index + 1} that can be counted; expected the sum of ${file} there`,
    );
  if (element.entries?.length !== 1)
    throw new PkgbuildError(
      lineOf(text, element.token.start),
      `${element.token.raw} stands for several sums; expected one of its own for ${file}`,
    );
  return element;
};

/** The edits that add patches to a `source`, and their sums to every array of sums. */
const appendPatches = (
  text: string,
  { source, sums }: ReturnType<typeof readSources>[number],
  patches: Bump['addPatches'],
): TextEdit[] => {
  if (patches.length === 0) return [];
  // makepkg would read `a:b` as a protocol or a new name.
  for (const { file } of patches)
    if (!/^[A-Za-z0-9_][A-Za-z0-9._+@~-]*$/.test(file))
      throw new PkgbuildError(source.line, `${file} is not a plain file name that source can hold`);
  const append = (array: Parameters<typeof appendElements>[1], words: string[]) =>
    appendElements(text, array, words);
  // makepkg requires as many sums as sources, so the ends of both arrays have the same index.
  return [
    append(
      source,
      patches.map(({ file }) => file),
    ),
    ...sums.map(({ kind, array }) =>
      append(
        array,
        patches.map((patch) => patch.sums(kind)),
      ),
    ),
  ];
};

const edit = (text: string, bump: Bump): string => {
  const script = readScript(text);
  const variables = scriptVariables(script);
  const edits: TextEdit[] = [literal(text, script, 'pkgrel', bump.pkgrel)];
  if (bump.pkgver !== undefined) edits.push(literal(text, script, 'pkgver', bump.pkgver));

  const { addPatches, removePatches = [], replacePatches = [] } = bump;
  if (addPatches.length + removePatches.length + replacePatches.length > 0) {
    const all = readSources(text, script, variables);
    const [first] = all;
    if (!first) throw new PkgbuildError(1, 'no "source=( … )"; expected one that holds the patches');
    if (addPatches.length > 0 && first.source.name !== 'source' && all.length > 1)
      throw new PkgbuildError(first.source.line, 'several source_<arch> and no source; expected one of them');

    for (const { file, sums } of replacePatches) {
      const { sources, index } = locate(text, all, file);
      for (const kind of sources.sums) {
        const { token } = sumElement(text, kind, index, file);
        edits.push({ start: token.start, end: token.end, by: quoteLike(token.raw, sums(kind.kind)) });
      }
    }
    for (const file of removePatches) {
      const { sources, element, index } = locate(text, all, file);
      if (element.entries?.length !== 1)
        throw new PkgbuildError(
          lineOf(text, element.token.start),
          `${element.token.raw} stands for several sources; expected ${file} as a word of its own`,
        );
      edits.push(removeElement(text, element.array, element.token));
      for (const kind of sources.sums) {
        const sum = sumElement(text, kind, index, file);
        edits.push(removeElement(text, sum.array, sum.token));
      }
    }
    edits.push(...appendPatches(text, first, addPatches));
    const known = all.flatMap(({ source }) =>
      source.elements.flatMap(({ entries }) => entries ?? []).map(sourceFile),
    );
    edits.push(
      ...editPrepare(
        text,
        script,
        known,
        addPatches.map(({ file }) => file),
        removePatches,
      ),
    );
  }
  return applyEdits(text, edits);
};

/**
 * Bumps a PKGBUILD by editing its text: `pkgrel` (and `pkgver`), patches in `source` with a sum of every kind that it
 * has, and the lines of `prepare()` that apply patches by name. A `prepare()` that loops over its sources is left
 * alone. Everything else stays byte for byte. The text is not run: compare `.SRCINFO` before and after.
 * @throws {PkgbuildError} if the text has a shape that this can't edit.
 */
export const bumpPkgbuild = (text: string, bump: Bump): string => {
  try {
    return edit(text, bump);
  } catch (error) {
    throw asPkgbuildError(text, error);
  }
};
