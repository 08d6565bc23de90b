/**
 * A text as one line that can't act on a terminal or break a format. Control and format characters (escape sequences,
 * line ends, marks that change the direction), lone surrogates and the two further characters that XML 1.0 forbids are
 * written like `\u{1b}`. The names and messages of tests come from programs on a board.
 */
export const printable = (text: string): string =>
  text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffe\uffff]/gu,
    (found) => `\\u{${found.codePointAt(0)?.toString(16)}}`,
  );
