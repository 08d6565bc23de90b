import { describe, expect, it } from 'vitest';
import { type Mutations, runSchedule } from './run-schedule.ts';
import type { Broken, Property } from './simulation.ts';

describe('the simulation', () => {
  it('finds every property to hold in the first schedules, and kills at every boundary', async () => {
    const killedAt = new Set<string>();
    const ended = new Set<string>();
    for (let seed = 1; seed <= 400; seed += 1) {
      const ran = await runSchedule(seed);
      expect(ran.broken, `seed ${seed}: ./ka test simulation --seed ${seed} --trace`).toBeUndefined();
      for (const name of ran.killedAt.keys()) killedAt.add(name);
      ended.add(ran.ended);
    }
    expect([...killedAt].sort()).toEqual([
      'acked',
      'acted',
      'after append',
      'before append',
      'committed',
      'intent',
      'noted',
      'outcome',
      'result',
      'sent',
    ]);
    expect([...ended]).toEqual(expect.arrayContaining(['closed', 'failed', 'aborted', 'waits']));
  });

  it('runs a seed again to the last line of its trace', async () => {
    for (let seed = 1; seed <= 30; seed += 1) {
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

  const found = async (mutations: Partial<Mutations>): Promise<Broken | undefined> => {
    for (let seed = 1; seed <= 3000; seed += 1) {
      const { broken } = await runSchedule(seed, { mutations });
      if (broken) return broken;
    }
    return undefined;
  };
  const once: Property = 'an effect happens at most once past its probe';
  const lost: Property = 'no outcome is lost';

  it.each<[string, Partial<Mutations>, Property]>([
    ['an effect that journals no intent', { journalsNoIntent: true }, once],
    ['an effect that is done again without a question', { probesNever: true }, once],
    [
      'an effect whose result is journalled before it acts',
      { journalsResultFirst: true },
      'a step that has succeeded has had every effect',
    ],
    ['a host that never looks whether the log still has what it had', { neverLooksBack: true }, lost],
    [
      'a log that takes a second fact under a subject',
      { subjectsHoldOneFact: false },
      'a subject holds one fact',
    ],
    [
      'a coordinator that appends again whatever the log has lost',
      { appendsAgainBlindly: true },
      'never two open attempts of one step',
    ],
  ])('finds %s', async (_what, mutations, property) => {
    expect((await found(mutations))?.property).toBe(property);
  });
});
