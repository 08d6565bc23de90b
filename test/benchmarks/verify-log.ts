import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { withBundledWorker } from '../bundled-worker.ts';
import { type Benchmark, inTurns, milliseconds } from './benchmark.ts';
import { timeOf } from './command-line.ts';
import { startLongLog } from './long-log.ts';

/** Checks as many signatures as a log has, in one thread for each core. @returns how long it takes, in seconds. */
const createBare = async (workerFile: string, count: number, sizeBytes: number) => {
  const cores = availableParallelism();
  const workerData = { count: Math.ceil(count / cores), sizeBytes };
  const threads = Array.from({ length: cores }, () => new Worker(workerFile, { workerData }));
  await Promise.all(threads.map((thread) => once(thread, 'message')));
  const check = async (): Promise<number> => {
    const took = await milliseconds(() =>
      Promise.all(
        threads.map((thread) => {
          thread.postMessage('go');
          return once(thread, 'message');
        }),
      ),
    );
    return took / 1000;
  };
  return { check, stop: () => Promise.all(threads.map((thread) => thread.terminate())) };
};

export const verifyLog: Benchmark = {
  name: 'ka audit --verify, 100,000 events / bare Ed25519 on all cores',
  unit: 's',
  goal: { ratioAtMost: 1.3, atMost: 10 },
  measure: async ({ iterations, times }) => {
    const log = await startLongLog(iterations.long);
    try {
      const { events, bytes } = log;
      return await withBundledWorker('benchmarks/bare-signatures.ts', async (workerFile) => {
        const bare = await createBare(workerFile, events, Math.round(bytes / events));
        try {
          const ours = async () => (await timeOf(['audit', '--verify'], log)) / 1000;
          return await inTurns(times, ours, bare.check);
        } finally {
          await bare.stop();
        }
      });
    } finally {
      await log.stop();
    }
  },
};
