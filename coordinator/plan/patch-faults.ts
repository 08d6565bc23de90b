/** The lines of a patch that are not inside a hunk: a removed `-- ../x` looks like a header and is none. */
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

const escapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** A name as git and diff spell it between quotes where it holds what a header can't: C's escapes, octal for bytes. */
const unquoted = (inner: string): string =>
  inner.replace(/\\(?:([0-7]{1,3})|(.))/gs, (_, octal?: string, letter = '') =>
    octal === undefined ? (escapes[letter] ?? letter) : String.fromCharCode(Number.parseInt(octal, 8) & 0xff),
  );

/** The names that stand one after the other in a header; a plain one may hold blanks, so both readings count. */
const namesIn = (text: string): string[] => {
  // A quote without its end goes on to the end of the line, so that each letter is looked at once.
  const quote = /"((?:[^"\\]|\\.)*)(?:"|\\?$)/gs;
  const quoted = [...text.matchAll(quote)].map(([, inner = '']) => unquoted(inner));
  return quoted.length > 0 ? [...quoted, text.replace(quote, '').trim()] : [text];
};

const withoutPrefix = (name: string): string => name.replace(/^[ab]\/(?!\/)/, '');

/** git's own header names a file twice, and says nowhere where the second begins if names hold blanks. */
const namesInGitHeader = (text: string): string[] => {
  if (text.includes('"')) return namesIn(text);
  const half = text.length >> 1;
  // The same name twice, but for its first letter; a renamed one stands in lines of its own as well.
  return text[half] === ' ' ? [text.slice(0, half), text.slice(half + 1)] : text.split(' ');
};

const pathsOf = (lines: readonly string[]): string[] =>
  lines.flatMap((line) => {
    // A change of mode or of a binary file has no other header than this.
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
 * What is wrong with a patch file by its text alone: that it changes nothing, or reaches out of the tree. Whether it
 * applies is for preflight to say.
 */
export const patchFaults = (text: string): string[] => {
  if (!/^diff --git |^--- [^\n]+\n\+\+\+ /m.test(text)) return ['is empty: it holds no diff'];
  const paths = new Set(pathsOf(outsideHunks(text)));
  return [...paths].filter(isOutside).map((path) => `touches ${path}, which is outside the tree`);
};
