import { parentPort, workerData } from 'node:worker_threads';
import { runTarget } from './run-target.ts';
import { targetNamed } from './targets.ts';

/** Some cases of one target. */
export interface Job {
  target: string;
  seed: number;
  cases: number;
}

// The parent thread can see how far this one got, even if it never returns.
const progress = new Int32Array((workerData as { progress: SharedArrayBuffer }).progress);

parentPort?.on('message', (job: Job) => {
  Atomics.store(progress, 0, 0);
  void runTarget(targetNamed(job.target), job, () => Atomics.add(progress, 0, 1)).then(
    (result) => parentPort?.postMessage(result),
    (error: unknown) =>
      parentPort?.postMessage({
        cases: 0,
        seconds: 0,
        broken: { input: '', how: String(error instanceof Error ? error.stack : error) },
      }),
  );
});
