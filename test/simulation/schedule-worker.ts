import { runSchedule } from './run-schedule.ts';
import type { Broken } from './simulation.ts';

/** A run of seeds. */
export interface Chunk {
  from: number;
  count: number;
}

/** The result, up to the first broken property. */
export interface Result {
  count: number;
  ended: Record<string, number>;
  killedAt: Record<string, number>;
  broken: (Broken & { seed: number }) | undefined;
}

const runChunk = async ({ from, count }: Chunk): Promise<Result> => {
  const result: Result = { count, ended: {}, killedAt: {}, broken: undefined };
  for (let seed = from; seed < from + count; seed += 1) {
    const { broken, ended, killedAt } = await runSchedule(seed);
    if (broken) return { ...result, broken: { ...broken, seed } };
    result.ended[ended] = (result.ended[ended] ?? 0) + 1;
    for (const [name, times] of killedAt) result.killedAt[name] = (result.killedAt[name] ?? 0) + times;
  }
  return result;
};

process.on('message', (chunk: Chunk) => void runChunk(chunk).then((result) => process.send?.(result)));
