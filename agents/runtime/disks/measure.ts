import type { Run } from '../../../host/run.ts';
import type { Kept } from './kept.ts';

/**
 * The size of each thing in bytes, in their order. A file that several of them share under one inode counts once, with the
 * first.
 */
export const measure = async (run: Run, things: readonly Kept[]): Promise<number[]> => {
  const paths = things.flatMap(({ size }) => ('paths' in size ? size.paths : []));
  const found = new Map<string, number>();
  if (paths.length > 0) {
    // du(1) says 1 where something has gone meanwhile.
    const { stdout } = await run(['du', '--bytes', '--summarize', '--null', '--', ...paths], {
      quiet: true,
      exitCodes: [0, 1],
      timeoutMs: 3_600_000,
    });
    for (const line of stdout.split('\0')) {
      const [, bytes, path] = /^(\d+)\t(.*)$/s.exec(line) ?? [];
      if (path !== undefined) found.set(path, Number(bytes));
    }
  }
  return things.map(({ size }) =>
    'bytes' in size ? size.bytes : size.paths.reduce((sum, path) => sum + (found.get(path) ?? 0), 0),
  );
};
