import Table from 'cli-table3';
import pc from 'picocolors';

const plain = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** Columns without a frame, as git and systemctl print them. The last column may have any width. */
export const columns = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const table = new Table({
    head: head.map((title) => pc.bold(title)),
    chars: plain,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
};

export const colouredVerdict = (verdict: string): string => {
  if (verdict === 'PASS') return pc.green(verdict);
  return verdict === 'WAIVED' || verdict === 'MISS' || verdict === 'SKIP'
    ? pc.yellow(verdict)
    : pc.red(verdict);
};
