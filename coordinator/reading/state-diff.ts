import { isDeepStrictEqual } from 'node:util';

/** One value that differs between two plain JSON documents; null stands for an absent value. */
export interface Difference {
  /** `iterations.iter5.steps.build.1.status`: keys, the ids of entries, or their places counted from 1. */
  path: string;
  before: unknown;
  after: unknown;
}

type Entries = Map<string, unknown>;

/** A list's entries by their ids if all have one, otherwise by their places. */
const entriesOf = (value: unknown): Entries | undefined => {
  if (Array.isArray(value)) {
    const ids = value.map((entry: unknown) => (entry as { id?: unknown } | null)?.id);
    const named = ids.every((id) => typeof id === 'string') && new Set(ids).size === ids.length;
    return new Map(
      value.map((entry: unknown, index) => [named ? String(ids[index]) : `${index + 1}`, entry]),
    );
  }
  return typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : undefined;
};

const none: Entries = new Map();

/** All differences between two plain JSON documents, down to single values. */
export const differences = (before: unknown, after: unknown, path = ''): Difference[] => {
  if (isDeepStrictEqual(before, after)) return [];
  const [old, now] = [entriesOf(before), entriesOf(after)];
  // A part that appears or disappears is also listed value by value; an empty list or map is a value itself.
  const isTold = (entries: Entries | undefined, value: unknown) =>
    entries !== undefined || value === undefined;
  if (isTold(old, before) && isTold(now, after) && (old?.size ?? 0) + (now?.size ?? 0) > 0)
    return [...new Set([...(old ?? none).keys(), ...(now ?? none).keys()])].flatMap((key) =>
      differences(old?.get(key), now?.get(key), path === '' ? key : `${path}.${key}`),
    );
  return [{ path, before: before ?? null, after: after ?? null }];
};
