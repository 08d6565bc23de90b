/** C's escapes of one letter, as git, diff and tar write them in quoted names: the letter, and what it stands for. */
export const escapedLetters: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};
