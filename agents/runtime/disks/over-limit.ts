import type { Limit } from '../../../schemas/limits.ts';

const dayMs = 86_400_000;

/**
 * What has to go for the rest to keep to a limit: the oldest. What is needed never goes, and takes its room before the others.
 * @param sizeOf in bytes; asked only where the limit is in bytes.
 * @param now in milliseconds since 1970.
 */
export const overLimit = <Thing extends { at: number; isNeeded: boolean }>(
  things: readonly Thing[],
  { number = Number.POSITIVE_INFINITY, bytes = Number.POSITIVE_INFINITY, days }: Limit,
  { now, sizeOf }: { now: number; sizeOf: (thing: Thing) => number },
): Thing[] => {
  const isLimited = Number.isFinite(bytes);
  const size = (thing: Thing) => (isLimited ? sizeOf(thing) : 0);
  const needed = things.filter(({ isNeeded }) => isNeeded);
  let count = needed.length;
  let sum = needed.reduce((all, thing) => all + size(thing), 0);
  const since = days === undefined ? Number.NEGATIVE_INFINITY : now - days * dayMs;
  let isFull = false;
  return things
    .filter(({ isNeeded }) => !isNeeded)
    .toSorted((a, b) => b.at - a.at)
    .filter((thing) => {
      // A small one that is older does not stay in place of a large one: what stays are the newest.
      isFull ||= count + 1 > number || sum + size(thing) > bytes || thing.at < since;
      if (isFull) return true;
      count += 1;
      sum += size(thing);
      return false;
    });
};
