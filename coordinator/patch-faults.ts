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

const pathsOf = (lines: readonly string[]): string[] =>
  lines.flatMap((line) => {
    // A change of mode or of a binary file has no other header than this.
    const git = /^diff --git "?a\/(.+?)"? "?b\/(.+?)"?$/.exec(line);
    if (git) return git.slice(1);
    const header = /^(?:---|\+\+\+) "?(?:[ab]\/)?(.+?)"?(?:\t.*)?$/.exec(line);
    const renamed = /^(?:rename|copy) (?:from|to) "?(.+?)"?$/.exec(line);
    const path = header?.[1] ?? renamed?.[1];
    return path === undefined || path === '/dev/null' ? [] : [path];
  });

const isOutside = (path: string): boolean =>
  path.startsWith('/') || path.split('/').some((part) => part === '..' || part === '.git');

/**
 * What is wrong with a patch file by its text alone: that it changes nothing, or reaches out of the tree. Whether it
 * applies is for preflight to say.
 */
export const patchFaults = (text: string): string[] => {
  if (!/^diff --git |^--- .+\n\+\+\+ /m.test(text)) return ['is empty: it holds no diff'];
  const paths = new Set(pathsOf(outsideHunks(text)));
  return [...paths].filter(isOutside).map((path) => `touches ${path}, which is outside the tree`);
};
