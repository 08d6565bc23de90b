import { execa } from 'execa';
import { styledLines } from '../../schemas/printable.ts';
import { print } from './options.ts';

/** Shows a text in the pager that the person has chosen, as git does; prints it where nobody sits at a terminal. */
export const page = async (text: string): Promise<void> => {
  const pager = process.env.PAGER ?? 'less';
  if (!process.stdout.isTTY || pager === '' || pager === 'cat') return print(text);
  const [program = 'less', ...args] = pager.split(' ').filter(Boolean);
  const shown = await execa(program, args, {
    input: `${styledLines(text)}\n`,
    stdout: 'inherit',
    stderr: 'inherit',
    // Colours as they are, and no pager for what fits on the screen.
    env: { LESS: process.env.LESS ?? 'FRX' },
    reject: false,
  });
  if (shown.exitCode === undefined) print(text);
};
