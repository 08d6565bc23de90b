import { isUtf8 } from 'node:buffer';
import { sha256 } from '../../../schemas/hash.ts';
import { type Patch, patchBytes } from '../../../schemas/plan.ts';
import { StepFailed } from '../../runtime/errors.ts';

/** A patch of the series. `text` is exactly its bytes. */
export interface SeriesPatch {
  file: string;
  sha256: string;
  text: string;
}

/** A hunk of a unified diff: its `@@ … @@` line, and the lines below it with their marks. */
export interface Hunk {
  header: string;
  /** The first line of the hunk in the old file, counted from 1. */
  oldStart: number;
  lines: string[];
}

/** What a patch does to one file. */
export interface FileDiff {
  /** The lines from `diff --git` or `---` to the first hunk. */
  head: string[];
  /** The path without `a/` or `b/`: the new one, unless the file is deleted. */
  path: string;
  oldPath: string;
  hunks: Hunk[];
}

const withoutPrefix = (name: string): string => (name.split('\t', 1)[0] ?? '').replace(/^[^/]*\//, '');

/** The two names of `diff --git a/… b/…`; the second is taken to begin at the first ` b/`. */
const namedInHeader = (line: string): { oldPath: string; path: string } => {
  const names = line.slice('diff --git '.length);
  const second = /"? "?b\//.exec(names);
  if (!/^"?a\//.test(names) || !second) return { oldPath: '', path: '' };
  const path = names.slice(second.index + second[0].length).replace(/"$/, '');
  return { oldPath: names.slice(names.indexOf('/') + 1, second.index), path };
};

/**
 * The files and hunks of a patch, as `git format-patch` or `diff -u` print them. Text around the diff is skipped. The
 * end of a hunk follows from its line counts, so a removed `-- ` is not taken for the end of the mail.
 */
export const parsePatch = (text: string): FileDiff[] => {
  const files: FileDiff[] = [];
  const lines = text.split('\n');
  let head: string[] = [];
  let current: FileDiff | undefined;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const next = lines[at + 1] ?? '';
    if (line.startsWith('diff --git ')) {
      head = [line];
      current = { head, ...namedInHeader(line), hunks: [] };
      files.push(current);
    } else if (line.startsWith('--- ') && next.startsWith('+++ ')) {
      if (current === undefined || current.hunks.length > 0) {
        head = [];
        current = { head, oldPath: '', path: '', hunks: [] };
        files.push(current);
      }
      head.push(line, next);
      if (!line.startsWith('--- /dev/null')) current.oldPath = withoutPrefix(line.slice(4));
      current.path = next.startsWith('+++ /dev/null') ? current.oldPath : withoutPrefix(next.slice(4));
      if (line.startsWith('--- /dev/null')) current.oldPath = current.path;
      at++;
    } else if (current !== undefined && line.startsWith('@@ ')) {
      const counts = /^@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(line);
      if (!counts) continue;
      const hunk: Hunk = { header: line, oldStart: Number(counts[1]), lines: [] };
      let before = Number(counts[2] ?? 1);
      let after = Number(counts[3] ?? 1);
      while ((before > 0 || after > 0 || lines[at + 1]?.startsWith('\\')) && at + 1 < lines.length) {
        const body = lines[++at] ?? '';
        if (!body.startsWith('+') && !body.startsWith('\\')) before--;
        if (!body.startsWith('-') && !body.startsWith('\\')) after--;
        hunk.lines.push(body);
      }
      current.hunks.push(hunk);
    } else if (current !== undefined && current.hunks.length === 0) head.push(line);
  }
  return files;
};

/** A patch that holds one hunk of one file and nothing else. */
export const singleHunk = (file: FileDiff, hunk: Hunk): string =>
  `${[...file.head, hunk.header, ...hunk.lines].join('\n')}\n`;

/**
 * The identity of a patch stack, as KernelCI computes it: `sha256sum *.patch | cut -c-64 | sha256sum`, in the
 * series' own order.
 */
export const patchsetHash = (patches: readonly Pick<SeriesPatch, 'text'>[]): string =>
  sha256(patches.map(({ text }) => `${sha256(text)}\n`).join(''));

/**
 * Returns the patches of a request as text, after checking their bytes against their hashes, and that no file occurs
 * twice.
 * @throws {StepFailed} (work)
 */
export const readSeries = (patches: readonly Patch[]): SeriesPatch[] => {
  const seen = new Set<string>();
  return patches.map((patch) => {
    const { file, sha256: named } = patch;
    const bytes = patchBytes(patch);
    const found = sha256(bytes);
    if (found !== named)
      throw new StepFailed('work', `${file} has the sha256 ${found}, but the request names ${named}`);
    if (seen.has(file)) throw new StepFailed('work', `the series holds ${file} twice`);
    if (!isUtf8(bytes)) throw new StepFailed('work', `${file} is not UTF-8 text`);
    seen.add(file);
    return { file, sha256: named, text: bytes.toString('utf8') };
  });
};
