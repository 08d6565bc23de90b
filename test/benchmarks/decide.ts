import { execa } from 'execa';
import { withBundledWorker } from '../bundled-worker.ts';
import { type Benchmark, inTurns } from './benchmark.ts';

export const decideOne: Benchmark = {
  name: 'decide and evolve for one event, 1,000 boards and 10,000 closed / 10 and 10',
  unit: 'µs',
  goal: { ratioAtMost: 1.5 },
  measure: ({ boards, closed, times }) =>
    withBundledWorker('benchmarks/decide-worker.ts', (workerFile) => {
      // A process of its own for each: a large heap would slow down whatever shares it.
      const measure = async (...sizes: readonly number[]) =>
        Number((await execa(process.execPath, [workerFile, ...sizes.map(String)])).stdout);
      return inTurns(
        times,
        () => measure(boards, closed, 1),
        () => measure(10, 10, boards / 10),
      );
    }),
};
