/** Characters on which a terminal can act, by categories of Unicode, independent of the product's own list. */
const acts = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
/**
 * The harmless ones of them, which join letters of some scripts or are soft hyphens: they only change how a word looks.
 */
const harmless =
  /\u200d|[\u00ad\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u180e\u200c\u2061-\u2065\u206a-\u206f\ufff9-\ufffb]|[\u{110bd}\u{110cd}\u{13430}-\u{1343f}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}]/gu;

/** Throws if a line holds anything that a terminal acts on. */
export const expectPrintable = (line: string): void => {
  const found = acts.exec(line.replace(harmless, ''));
  if (found)
    throw new Error(
      `a line holds U+${found[0].codePointAt(0)?.toString(16)}, which a terminal acts on: ${JSON.stringify(line)}`,
    );
};
