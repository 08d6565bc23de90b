import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Limit } from '../../../schemas/limits.ts';
import { overLimit } from './over-limit.ts';

const dayMs = 86_400_000;
const now = 100 * dayMs;
const thing = (at: number, sizeBytes = 10, isNeeded = false) => ({ at: at * dayMs, sizeBytes, isNeeded });
const over = (things: ReturnType<typeof thing>[], limit: Limit) =>
  overLimit(things, limit, { now, sizeOf: ({ sizeBytes }) => sizeBytes }).map(({ at }) => at / dayMs);

test('without a limit everything stays', () => {
  expect(over([thing(1), thing(2)], {})).toEqual([]);
});

test('the newest stay: so many, so many bytes, so many days', () => {
  const things = [thing(98), thing(1), thing(99), thing(50)];
  expect(over(things, { number: 2 })).toEqual([50, 1]);
  expect(over(things, { bytes: 30 })).toEqual([1]);
  expect(over(things, { days: 60 })).toEqual([1]);
  expect(over(things, { number: 3, bytes: 10, days: 60 })).toEqual([98, 50, 1]);
});

test('a small one does not stay in place of a newer large one', () => {
  expect(over([thing(3, 10), thing(2, 100), thing(1, 10)], { bytes: 50 })).toEqual([2, 1]);
});

test('what is needed stays, and takes the place of what is newer', () => {
  const needed = thing(1, 10, true);
  expect(over([needed, thing(2), thing(3)], { number: 2 })).toEqual([2]);
  expect(over([needed], { number: 0, bytes: 0, days: 0 })).toEqual([]);
});

test('whatever there is: what is needed stays, and the rest keeps to the limit', () => {
  const things = fc.array(fc.record({ at: fc.nat(now), sizeBytes: fc.nat(100), isNeeded: fc.boolean() }));
  fc.assert(
    fc.property(things, fc.nat(10), fc.nat(500), (all, number, bytes) => {
      const gone = overLimit(all, { number, bytes }, { now, sizeOf: ({ sizeBytes }) => sizeBytes });
      const left = all.filter((one) => !gone.includes(one));
      const others = left.filter(({ isNeeded }) => !isNeeded);
      const sum = left.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
      expect(gone.some(({ isNeeded }) => isNeeded)).toBe(false);
      expect(others.length === 0 || (left.length <= number && sum <= bytes)).toBe(true);
      for (const one of others) for (const other of gone) expect(one.at).toBeGreaterThanOrEqual(other.at);
    }),
  );
});
