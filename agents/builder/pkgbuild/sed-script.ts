/** The most steps that a substitution may take in the worst case; about two seconds. */
const mostSteps = 2e8;

/**
 * How many steps JavaScript's engine takes at most to look for a pattern in lines: it tries each way to divide a line
 * among the pattern's repeats and, unless it is anchored, each place to begin.
 */
const stepsAtMost = (pattern: string, lines: readonly string[]): number => {
  const repeats = pattern.match(/\*|\\[+?]/g)?.length ?? 0;
  const choices = repeats + (pattern.startsWith('^') ? 0 : 1);
  const ways = (length: number) =>
    Array.from({ length: choices }, (_, index) => (length + 1) / (index + 1)).reduce(
      (all, each) => all * each,
      1,
    );
  return lines.reduce((sum, { length }) => sum + ways(length), 0);
};

/** Translates a basic regular expression of sed into JavaScript's form; undefined if it uses anything else. */
const fromBasic = (pattern: string): string | undefined => {
  if (/\\[^.*/[\]^$()+?|\\&-]|\[\[:/.test(pattern)) return undefined;
  // A repeated group may keep JavaScript's engine busy for ever.
  if (/\\\)(\*|\\[+?])/.test(pattern)) return undefined;
  return pattern.replace(/\\([()+?|])|([()+?|{}])/g, (_, special?: string, plain?: string) =>
    special === undefined ? `\\${plain}` : special,
  );
};

const substitute = (text: string, command: string): string | undefined => {
  const delimiter = command[1];
  if (command[0] !== 's' || delimiter === undefined || /[\w\s\\]/.test(delimiter)) return undefined;
  const fields: string[] = [''];
  for (let i = 2; i < command.length; i++) {
    const char = command[i] ?? '';
    if (char === '\\' && command[i + 1] === delimiter) fields.push(`${fields.pop()}${command[++i]}`);
    else if (char === '\\') fields.push(`${fields.pop()}${char}${command[++i] ?? ''}`);
    else if (char === delimiter) fields.push('');
    else fields.push(`${fields.pop()}${char}`);
  }
  const [pattern = '', replacement = '', flags] = fields;
  if (fields.length !== 3 || flags === undefined || !/^g?$/.test(flags)) return undefined;
  const source = fromBasic(pattern);
  if (source === undefined) return undefined;
  let expression: RegExp;
  try {
    expression = new RegExp(source, flags);
  } catch {
    return undefined; // sed may accept it, but JavaScript does not
  }
  const lines = text.split('\n');
  if (stepsAtMost(pattern, lines) > mostSteps) return undefined;
  return lines
    .map((line) =>
      line.replace(expression, (...groups) =>
        replacement.replace(/\\(.)|&/g, (part, escaped?: string) => {
          if (part === '&') return String(groups[0]);
          return escaped !== undefined && /\d/.test(escaped)
            ? String(groups[Number(escaped)] ?? '')
            : `${escaped}`;
        }),
      ),
    )
    .join('\n');
};

/**
 * Edits a text as `sed` would, for a script of `s` commands, one per line or separated by `;`.
 * @returns undefined for any other script.
 */
export const editLines = (text: string, script: string): string | undefined => {
  let edited: string | undefined = text;
  for (const command of script.split(/\n|;\s*(?=s\W)/)) {
    const trimmed = command.trim();
    if (trimmed === '') continue;
    edited = edited === undefined ? undefined : substitute(edited, trimmed);
  }
  return edited;
};
