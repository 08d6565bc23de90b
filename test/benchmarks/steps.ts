import { execa } from 'execa';
import { withBundledWorker } from '../bundled-worker.ts';
import { startLogServer } from '../log-server.ts';
import { alone, type Benchmark, inTurns, median } from './benchmark.ts';
import {
  type BusyFleet,
  type BusyFleetOptions,
  type Stamp,
  startBusyFleet,
  type Underway,
} from './busy-fleet.ts';
import { startProcess } from './daemons.ts';

/** The steps that a board's iteration takes one after the other, with no other one beside them. */
const inARow = ['Publish', 'Stage', 'Install', 'Reboot', 'Sweep', 'Confirm', 'Record'];

/** How long each step took in these iterations, from its request to the next one's, in milliseconds. */
const hopsOf = (stamps: readonly Stamp[]): number[] => {
  const requested = new Map(
    stamps
      .filter(({ type }) => type.endsWith('Requested'))
      .map(({ iteration, type, at }) => [`${iteration} ${type}`, at]),
  );
  return [...new Set(stamps.map(({ iteration }) => iteration))].flatMap((iteration) => {
    const at = inARow.map((step) => requested.get(`${iteration} ${step}Requested`));
    return at.slice(1).flatMap((time, nth) => {
      const before = at[nth];
      return time === undefined || before === undefined ? [] : [time - before];
    });
  });
};

const oneBoard = (count: number): Underway[] =>
  Array.from({ length: count }, (_, nth) => ({
    name: `iter${nth}`,
    board: 'board',
    hosts: { builders: ['builder'], publisher: 'publisher', backup: 'publisher' },
  }));

/** How many boards share a builder and a publisher. */
const boardsOfOne = 10;

const manyBoards = (count: number): Underway[] =>
  Array.from({ length: count }, (_, nth) => {
    const group = Math.floor(nth / boardsOfOne);
    const publisher = `publisher-${group}`;
    return {
      name: `iter${nth}`,
      board: `board-${nth}`,
      hosts: { builders: [`builder-${group}`], publisher, backup: publisher },
    };
  });

const withBusyFleet = <Result>(
  options: Omit<BusyFleetOptions, 'workerFile'>,
  use: (fleet: BusyFleet) => Promise<Result>,
): Promise<Result> =>
  withBundledWorker('benchmarks/agents-worker.ts', async (workerFile) => {
    const fleet = await startBusyFleet({ ...options, workerFile });
    try {
      return await use(fleet);
    } finally {
      await fleet.stop();
    }
  });

/** One board's iterations, one after the other. @returns the median of their hops. */
const carryAll = (iterations: readonly Underway[]): Promise<number> =>
  withBusyFleet({ iterations }, async (fleet) => {
    for (const one of iterations) await fleet.carry([one]);
    return median(hopsOf(fleet.stamps));
  });

/** The same number of hops of the minimal loop, over a server of its own. */
const askMinimally = (hops: number): Promise<number> =>
  withBundledWorker('benchmarks/minimal-loop.ts', async (workerFile) => {
    const host = 'builder';
    const server = await startLogServer('busy', { [host]: 'builder' });
    const { url } = server.server;
    const keys = { [host]: server.key(host).publicKey, coordinator: server.key('coordinator').publicKey };
    const input = JSON.stringify({ url, folder: server.folder, fleet: 'busy', host, keys, times: hops });
    const answering = startProcess([workerFile, 'answers', input]);
    try {
      return Number((await execa(process.execPath, [workerFile, 'asks', input])).stdout);
    } finally {
      await answering.stop();
      await server.stop();
    }
  });

/** The rate of outcomes while most boards are under way: without the first tenth of them and the last. */
const outcomesASecond = (stamps: readonly Stamp[]): number => {
  const at = stamps.filter(({ type }) => type.endsWith('Succeeded')).map((one) => one.at);
  const [from, to] = [Math.floor(at.length / 10), Math.floor((at.length * 9) / 10)];
  return ((to - from) * 1000) / ((at[to] ?? 0) - (at[from] ?? 0));
};

export const steps: readonly Benchmark[] = [
  {
    name: 'hop p50, request to next request / a minimal loop',
    unit: 'ms',
    goal: { ratioAtMost: 3 },
    measure: ({ hopIterations, times }) =>
      inTurns(
        times,
        () => carryAll(oneBoard(hopIterations)),
        () => askMinimally(hopIterations * (inARow.length - 1)),
      ),
  },
  {
    name: 'steps of 200 boards under way',
    unit: 'a second',
    goal: { atLeast: 300 },
    measure: ({ busyBoards, times }) =>
      alone(times, () => {
        const iterations = manyBoards(busyBoards);
        return withBusyFleet({ iterations, inMemory: true }, async (fleet) => {
          await fleet.carry(iterations);
          return outcomesASecond(fleet.stamps);
        });
      }),
  },
];
