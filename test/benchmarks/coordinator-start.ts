import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { alone, type Benchmark, type Measured } from './benchmark.ts';
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

/** Starts it again and again. @param read what is measured of a start. */
const startsOn = async (
  iterations: number,
  times: number,
  read: (started: Started, events: number) => number,
): Promise<Measured> => {
  const log = await startLongLog(iterations);
  try {
    const stateFolder = join(log.folder, 'coordinator');
    await putCopy(iterations, stateFolder);
    return await alone(times, async (nth) => read(await startOn(log, stateFolder, nth), log.events));
  } finally {
    await log.stop();
  }
};

export const coordinatorStart: readonly Benchmark[] = [
  {
    name: 'coordinator: ready after a start at 100,000 events',
    unit: 'µs an event',
    goal: { atMost: 50 },
    measure: ({ iterations, times }) =>
      startsOn(iterations.long, times, ({ milliseconds }, events) => (milliseconds * 1000) / events),
  },
  {
    name: 'coordinator: memory with 10,000 closed iterations',
    unit: 'MB',
    goal: { atMost: 150 },
    measure: ({ closed, times }) => startsOn(closed, times, ({ megabytes }) => megabytes),
  },
];
