import { describe, expect, it } from 'vitest';
import { isThorough } from '../thorough/thorough.ts';
import { runSchedule } from './run-schedule.ts';

describe('the simulation', () => {
  it('finds that every property holds in the first schedules, and kills at every boundary', async () => {
    const killedAt = new Set<string>();
    const ended = new Set<string>();
    // Some are rare: the deadline's own runs only where a kernel is not confirmed in time.
    for (let seed = 1; seed <= 150 || (!killedAt.has('deadline') && seed <= 1_000); seed += 1) {
      const ran = await runSchedule(seed);
      expect(ran.broken, `seed ${seed}: ./ka test simulation --seed ${seed} --trace`).toBeUndefined();
      for (const name of ran.killedAt.keys()) killedAt.add(name);
      ended.add(ran.ended);
    }
    expect([...killedAt].sort()).toEqual([
      'acked',
      'acted',
      'after append',
      'answer',
      'before append',
      'committed',
      'deadline',
      'intent',
      'noted',
      'outcome',
      'result',
      'sent',
    ]);
    expect([...ended]).toEqual(expect.arrayContaining(['closed', 'failed', 'aborted', 'waits']));
  });

  it('repeats a seed to the last line of its trace', async () => {
    for (let seed = 1; seed <= (isThorough ? 30 : 10); seed += 1) {
      const { trace } = await runSchedule(seed, { traced: true });
      expect(trace.length).toBeGreaterThan(5);
      expect((await runSchedule(seed, { traced: true })).trace).toEqual(trace);
    }
    const ends = async (traced: boolean) => {
      const { ended, killedAt } = await runSchedule(7, { traced });
      return { ended, killedAt };
    };
    expect(await ends(true)).toEqual(await ends(false));
  });
});
