import { z } from 'zod';

const withoutKey = (value: unknown, path: readonly PropertyKey[], key: string): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<PropertyKey, unknown>;
  const [first, ...rest] = path;
  if (first === undefined) delete copy[key];
  else copy[first] = withoutKey(copy[first], rest, key);
  return copy;
};

/**
 * A schema that is strict with people, for what machines write: keys that this version does not know are left out
 * instead of refused, so that an old reader can live with a newer writer.
 */
export const tolerant = <Schema extends z.ZodType>(schema: Schema) =>
  z.unknown().transform((given, context): z.output<Schema> => {
    let value = given;
    for (;;) {
      const parsed = schema.safeParse(value);
      if (parsed.success) return parsed.data;
      const unknown = parsed.error.issues.filter((issue) => issue.code === 'unrecognized_keys');
      if (unknown.length < parsed.error.issues.length) {
        context.issues.push(
          ...parsed.error.issues.map((issue) => ({
            code: 'custom' as const,
            message: issue.message,
            path: issue.path,
            input: given,
          })),
        );
        return z.NEVER;
      }
      for (const { path, keys } of unknown) for (const key of keys) value = withoutKey(value, path, key);
    }
  });
