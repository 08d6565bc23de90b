/** How much work the rows are given. */
export interface Scale {
  /** The iterations of the long log and of the short one; each has some 36 events. */
  iterations: { long: number; short: number };
  /** The closed iterations, and the boards under way, that the coordinator holds. */
  closed: number;
  boards: number;
  /** The iterations whose hops are measured, and the boards that are busy at once. */
  hopIterations: number;
  busyBoards: number;
  /** How often each side is measured. */
  times: number;
  /** How long an idle daemon is watched. */
  idleSeconds: number;
  /** The size of the file that is copied over SSH. */
  copyMegabytes: number;
}

export const wholeScale: Scale = {
  iterations: { long: 2778, short: 3 },
  closed: 10_000,
  boards: 1000,
  hopIterations: 20,
  busyBoards: 200,
  times: 7,
  idleSeconds: 20,
  copyMegabytes: 200,
};

/** Only shows that every row still runs: it says nothing about how fast anything is. */
export const smallScale: Scale = {
  iterations: { long: 12, short: 3 },
  closed: 20,
  boards: 20,
  hopIterations: 2,
  busyBoards: 4,
  times: 1,
  idleSeconds: 1,
  copyMegabytes: 2,
};

/** What a row has to reach. Where there are several, all of them. */
export interface Goal {
  /** Ours divided by the baseline. */
  ratioAtMost?: number;
  ratioAtLeast?: number;
  /** Ours, in the row's unit. */
  atMost?: number;
  atLeast?: number;
}

export interface Measured {
  ours: number;
  /** The baseline of the same run; null for a row whose goal is no ratio. */
  baseline: number | null;
}

/** A row of the table. */
export interface Benchmark {
  name: string;
  unit: string;
  goal: Goal;
  measure: (scale: Scale) => Promise<Measured>;
}

/** A row with what came of it, as `--json` prints it. */
export interface Result extends Measured {
  name: string;
  unit: string;
  ratio: number | null;
  goal: string;
  met: boolean;
}

const goalWords = ({ ratioAtMost, ratioAtLeast, atMost, atLeast }: Goal, unit: string): string =>
  [
    ...(ratioAtMost === undefined ? [] : [`≤ ${ratioAtMost} ×`]),
    ...(ratioAtLeast === undefined ? [] : [`≥ ${ratioAtLeast} ×`]),
    ...(atMost === undefined ? [] : [`≤ ${atMost} ${unit}`]),
    ...(atLeast === undefined ? [] : [`≥ ${atLeast} ${unit}`]),
  ].join(', ');

/** Compares what was measured with the row's goal. */
export const judge = ({ name, unit, goal }: Benchmark, { ours, baseline }: Measured): Result => {
  const ratio = baseline === null ? null : ours / baseline;
  const { ratioAtMost = Number.POSITIVE_INFINITY, atMost = Number.POSITIVE_INFINITY, atLeast = 0 } = goal;
  const { ratioAtLeast = 0 } = goal;
  const met =
    (ratio ?? 0) <= ratioAtMost &&
    (ratio ?? ratioAtLeast) >= ratioAtLeast &&
    ours <= atMost &&
    ours >= atLeast;
  return { name, ours, baseline, unit, ratio, goal: goalWords(goal, unit), met };
};

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length === 0
    ? Number.NaN
    : ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2;
};

/** How long it takes, in milliseconds. */
export const milliseconds = async (work: () => unknown): Promise<number> => {
  const started = performance.now();
  await work();
  return performance.now() - started;
};

/** A row that takes longer is measured less often, but twice at least: the table has to be there within fifteen minutes. */
const enoughMs = 60_000;

/** Measures so often, unless that takes too long. */
export const repeat = async (times: number, measure: (nth: number) => Promise<void>): Promise<void> => {
  const started = performance.now();
  for (let nth = 0; nth < times && (nth < 2 || performance.now() - started < enoughMs); nth += 1)
    await measure(nth);
};

/** What is read from the disk for the first time slows down the first measurement: it does not count if there are others. */
const medianOf = (taken: readonly number[]): number => median(taken.length > 2 ? taken.slice(1) : taken);

/** The medians of both, measured in turns, so that other work on the machine slows both alike. */
export const inTurns = async (
  times: number,
  ours: () => Promise<number>,
  baseline: () => Promise<number>,
): Promise<Measured> => {
  const taken: { ours: number[]; baseline: number[] } = { ours: [], baseline: [] };
  await repeat(times, async () => {
    taken.ours.push(await ours());
    taken.baseline.push(await baseline());
  });
  return { ours: medianOf(taken.ours), baseline: medianOf(taken.baseline) };
};

/** The median of one side alone, for a row whose goal is no ratio. */
export const alone = async (times: number, measure: (nth: number) => Promise<number>): Promise<Measured> => {
  const taken: number[] = [];
  await repeat(times, async (nth) => void taken.push(await measure(nth)));
  return { ours: medianOf(taken), baseline: null };
};
