/**
 * A text as one line in which nothing acts on a terminal or breaks a format: control and format characters (escape
 * sequences, line ends, marks that turn the direction), lone surrogates and the two that XML 1.0 forbids besides
 * them stand there as `\u{1b}`. What a test is named or says comes from programs on a board.
 */
export const printable = (text: string): string =>
  text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffe\uffff]/gu,
    (found) => `\\u{${found.codePointAt(0)?.toString(16)}}`,
  );
