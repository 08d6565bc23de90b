import { execa } from 'execa';
import { ka } from '../ka.ts';
import { type Benchmark, inTurns, type Measured, milliseconds, type Scale } from './benchmark.ts';
import { type LongLog, measured, startLongLog } from './long-log.ts';

/** Runs a command as a person does, whose exit code has to be 0. @returns how long it took, in milliseconds. */
export const timeOf = (args: readonly string[], { configFile }: LongLog): Promise<number> =>
  milliseconds(async () => {
    const { exitCode, stderr } = await ka([...args, '--config', configFile]);
    if (exitCode !== 0) throw new Error(`ka ${args.join(' ')} ended with exit code ${exitCode}: ${stderr}`);
  });

/** Uses two running logs, a long one and a short one. */
const withBoth = async (
  { iterations }: Scale,
  use: (long: LongLog, short: LongLog) => Promise<Measured>,
): Promise<Measured> => {
  const long = await startLongLog(iterations.long);
  try {
    const short = await startLongLog(iterations.short);
    try {
      return await use(long, short);
    } finally {
      await short.stop();
    }
  } finally {
    await long.stop();
  }
};

const inBoth =
  (...args: readonly string[]): Benchmark['measure'] =>
  (scale) =>
    withBoth(scale, async (long, short) => {
      // The first time fills the command line's copy.
      for (const log of [long, short]) await timeOf(args, log);
      return inTurns(
        scale.times,
        () => timeOf(args, long),
        () => timeOf(args, short),
      );
    });

export const commandLine: readonly Benchmark[] = [
  ...['status', 'audit', 'log'].map((command) => ({
    name: `ka ${command} ITER, 100,000 events / 100`,
    unit: 'ms',
    goal: { ratioAtMost: 1.5 },
    measure: inBoth(command, measured),
  })),
  {
    name: 'ka status, the second time, 100,000 events / 100',
    unit: 'ms',
    goal: { ratioAtMost: 2 },
    measure: inBoth('status'),
  },
  {
    name: 'ka status ITER, 100 events / node -e 0',
    unit: 'ms',
    goal: { ratioAtMost: 3 },
    measure: async ({ times, iterations }) => {
      const short = await startLongLog(iterations.short);
      try {
        return await inTurns(
          times,
          () => timeOf(['status', measured], short),
          () => milliseconds(() => execa(process.execPath, ['-e', '0'])),
        );
      } finally {
        await short.stop();
      }
    },
  },
];
