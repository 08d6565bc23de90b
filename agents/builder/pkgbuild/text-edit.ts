import type { BashArray, BashToken } from './bash-array.ts';

/** Replaces the text from `start` to `end` by `by`. */
export interface TextEdit {
  start: number;
  end: number;
  by: string;
}

/** Applies edits that don't overlap. Two edits at one place keep their order. */
export const applyEdits = (text: string, edits: readonly TextEdit[]): string => {
  const sorted = edits.toSorted((a, b) => a.start - b.start || a.end - b.end);
  let result = '';
  let at = 0;
  for (const { start, end, by } of sorted) {
    // If two neighbours are both removed, both edits may cover the blanks between them.
    result += text.slice(at, Math.max(at, start)) + by;
    at = Math.max(at, end);
  }
  return result + text.slice(at);
};

/** The range of whole lines that covers `start` to `end`, including the last newline. */
export const wholeLines = (text: string, start: number, end: number): { start: number; end: number } => {
  const newline = text.indexOf('\n', end);
  return { start: text.lastIndexOf('\n', start - 1) + 1, end: newline < 0 ? text.length : newline + 1 };
};

/**
 * Removes an element from an array: with its line if nothing else is on it (and with the comment after it, which
 * belongs to it), otherwise with the blanks that separated it.
 */
export const removeElement = (text: string, array: BashArray, element: BashToken): TextEdit => {
  const line = wholeLines(text, element.start, element.end);
  const before = text.slice(line.start, element.start);
  const behind = text.slice(element.end, line.end);
  if (/^\s*$/.test(before) && /^\s*(#.*)?\n$/.test(behind)) return { ...line, by: '' };
  const after = /^[ \t]+(?=[^#\s])/.exec(behind)?.[0].length ?? 0;
  if (after > 0 && text[element.end + after] !== ')')
    return { start: element.start, end: element.end + after, by: '' };
  // For the last element of an array, the blanks before it are removed too, unless they end a comment's line.
  const previous = [...array.elements, ...array.comments]
    .filter(({ end }) => end <= element.start)
    .reduce<BashToken | undefined>((last, one) => (last && last.end > one.end ? last : one), undefined);
  const start = previous?.kind === 'word' ? previous.end : element.start;
  return { start, end: element.end, by: '' };
};
