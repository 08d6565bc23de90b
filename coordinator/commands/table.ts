import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';

/** How many characters of a text are shown. */
const widthOf = (text: string): number => [...stripVTControlCharacters(text)].length;

/** Columns without a frame, as git and systemctl print them. The last column may have any width. */
export const columns = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const all = [head.map((title) => pc.bold(title)), ...rows];
  const widths = head.map((_, nth) => all.reduce((most, row) => Math.max(most, widthOf(row[nth] ?? '')), 0));
  const padded = (cell: string, nth: number) => cell + ' '.repeat((widths[nth] ?? 0) - widthOf(cell));
  return all.map((row) => row.map(padded).join('  ').trimEnd()).join('\n');
};

export const colouredVerdict = (verdict: string): string => {
  if (verdict === 'PASS') return pc.green(verdict);
  return verdict === 'WAIVED' || verdict === 'MISS' || verdict === 'SKIP'
    ? pc.yellow(verdict)
    : pc.red(verdict);
};
