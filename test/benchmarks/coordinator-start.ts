import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Benchmark, median } from './benchmark.ts';
import { askInVain, memoryOf, startCoordinator } from './daemons.ts';
import { type LongLog, putCopy, startLongLog } from './long-log.ts';

interface Started {
  milliseconds: number;
  /** A while later. */
  megabytes: number;
}

/** Starts the coordinator on a log that it has a copy of, until it answers. */
const startOn = async (log: LongLog, stateFolder: string, nth: number): Promise<Started> => {
  const answered = await askInVain(log, `ask${nth}`);
  const started = performance.now();
  const daemon = startCoordinator(log, stateFolder);
  await answered();
  const took = performance.now() - started;
  await sleep(2_000);
  const megabytes = memoryOf(daemon.pid);
  await daemon.stop();
  return { milliseconds: took, megabytes };
};

const startsOn = async (
  iterations: number,
  times: number,
): Promise<{ starts: Started[]; events: number }> => {
  const log = await startLongLog(iterations);
  try {
    const stateFolder = join(log.folder, 'coordinator');
    await putCopy(iterations, stateFolder);
    const starts: Started[] = [];
    for (let nth = 0; nth < times; nth += 1) starts.push(await startOn(log, stateFolder, nth));
    return { starts, events: log.events };
  } finally {
    await log.stop();
  }
};

export const coordinatorStart: readonly Benchmark[] = [
  {
    name: 'coordinator: ready after a start at 100,000 events',
    unit: 'µs an event',
    goal: { atMost: 50 },
    measure: async ({ iterations, times }) => {
      const { starts, events } = await startsOn(iterations.long, times);
      return { ours: median(starts.map((one) => (one.milliseconds * 1000) / events)), baseline: null };
    },
  },
  {
    name: 'coordinator: memory with 10,000 closed iterations',
    unit: 'MB',
    goal: { atMost: 150 },
    measure: async ({ closed, times }) => {
      const { starts } = await startsOn(closed, Math.min(times, 3));
      return { ours: median(starts.map(({ megabytes }) => megabytes)), baseline: null };
    },
  },
];
