import { escapedLetters } from '../../schemas/escaped-letters.ts';

/** The lines of a patch outside its hunks. Inside one, a removed line `-- ../x` looks like a header. */
const outsideHunks = (text: string): string[] => {
  let before = 0;
  let after = 0;
  return text.split('\n').filter((line) => {
    if (before > 0 || after > 0) {
      if (!line.startsWith('+') && !line.startsWith('\\')) before -= 1;
      if (!line.startsWith('-') && !line.startsWith('\\')) after -= 1;
      return false;
    }
    const hunk = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(line);
    if (hunk) {
      before = Number(hunk[1] ?? 1);
      after = Number(hunk[2] ?? 1);
    }
    return true;
  });
};

/** A name without the escapes that git and diff write between quotes: those of C, and octal ones for bytes. */
const unquoted = (inner: string): string =>
  inner.replace(/\\(?:([0-7]{1,3})|(.))/gs, (_, octal?: string, letter = '') =>
    octal === undefined
      ? (escapedLetters[letter] ?? letter)
      : String.fromCharCode(Number.parseInt(octal, 8) & 0xff),
  );

/** The names in a header. An unquoted name may hold blanks, so it is returned beside the quoted ones. */
const namesIn = (text: string): string[] => {
  // A quote that is not closed goes on to the end of the line, so that each letter is visited once.
  const quote = /"((?:[^"\\]|\\.)*)(?:"|\\?$)/gs;
  const quoted = [...text.matchAll(quote)].map(([, inner = '']) => unquoted(inner));
  return quoted.length > 0 ? [...quoted, text.replace(quote, '').trim()] : [text];
};

const withoutPrefix = (name: string): string => name.replace(/^[ab]\/(?!\/)/, '');

/** The two names in git's own header. If they hold blanks, the header does not show where the second begins. */
const namesInGitHeader = (text: string): string[] => {
  if (text.includes('"')) return namesIn(text);
  const half = text.length >> 1;
  // Both names are equal but for the first letter; renamed files are also named in lines of their own.
  return text[half] === ' ' ? [text.slice(0, half), text.slice(half + 1)] : text.split(' ');
};

const pathsOf = (lines: readonly string[]): string[] =>
  lines.flatMap((line) => {
    // A change of mode or of a binary file has only this header.
    if (line.startsWith('diff --git '))
      return namesInGitHeader(line.slice('diff --git '.length)).map(withoutPrefix);
    const [, header] = /^(?:---|\+\+\+|\*\*\*) ([^\t]*)/.exec(line) ?? [];
    if (header !== undefined) return namesIn(header).map(withoutPrefix);
    const [, renamed] = /^(?:rename|copy) (?:from|to) (.*)$/s.exec(line) ?? [];
    return renamed === undefined ? [] : namesIn(renamed);
  });

const isOutside = (path: string): boolean =>
  path !== '/dev/null' &&
  (path.startsWith('/') ||
    path.split('/').some((part) => part.trim() === '..' || part.trim().toLowerCase() === '.git'));

/**
 * The faults of a patch file that its text alone shows: it changes nothing, or it touches a path outside the tree.
 * Whether it applies is checked by preflight.
 */
export const patchFaults = (text: string): string[] => {
  const lines = text.split('\n');
  const isHeader = (line: string, at: number) =>
    line.startsWith('diff --git ') || (line.startsWith('--- ') && lines[at + 1]?.startsWith('+++ '));
  if (!lines.some(isHeader)) return ['is empty: it holds no diff'];
  const paths = new Set(pathsOf(outsideHunks(text)));
  return [...paths].filter(isOutside).map((path) => `touches ${path}, which is outside the tree`);
};
