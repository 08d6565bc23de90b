import { z } from 'zod';
import { Shallow } from './shallow.ts';

declare const unknownMember: unique symbol;
/** A member of an enum that this version does not know. It is carried as it was written. */
export type UnknownMember = string & { readonly [unknownMember]: true };

/** A member of a discriminated union that this version does not know: its name, and all of it as it was written. */
export type UnknownOf<Discriminator extends string> = { [Key in Discriminator]: 'unknown' } & {
  named: string;
  given: unknown;
};

/** The keys that tell the members of our unions apart. A reader can't mistake an unknown member for a known one. */
type Discriminator = 'check' | 'code' | 'kind';

type OpenedObject<T, Key extends PropertyKey> = {
  [Name in keyof T]: Name extends Key ? T[Name] : Opened<T[Name]>;
};

/** The discriminator of the union that T is a member of; `never` if T is a member of none. */
type DiscriminatorOf<T> = {
  [Key in Discriminator]: Key extends keyof T ? (string extends T[Key] ? never : Key) : never;
}[Discriminator];

/** What {@link opened} reads: enums may hold other words, and discriminated unions a member named `unknown`. */
export type Opened<T> = T extends string
  ? string extends T
    ? T
    : T | UnknownMember
  : T extends number | boolean | bigint | null | undefined
    ? T
    : T extends readonly (infer Element)[]
      ? Opened<Element>[]
      : T extends object
        ? [string extends keyof T ? never : DiscriminatorOf<T>] extends [never]
          ? OpenedObject<T, never>
          : OpenedObject<T, DiscriminatorOf<T>> | UnknownOf<DiscriminatorOf<T>>
        : T;

const longestMember = 200;

type Schema = z.core.$ZodType;
const cache = new WeakMap<Schema, Schema>();

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a union by its discriminator. An unknown member becomes one named `unknown`, which carries all of it. */
const openUnion = (def: z.core.$ZodDiscriminatedUnionDef): Schema => {
  const { discriminator } = def;
  const known = new Set<unknown>();
  for (const option of def.options)
    for (const value of option._zod.propValues?.[discriminator] ?? []) known.add(value);
  const members = new z.ZodDiscriminatedUnion({
    ...def,
    unionFallback: false,
    options: def.options.map((option) => open(option)),
  } as never);
  return z.unknown().transform((given, context) => {
    if (isObject(given)) {
      const named = given[discriminator];
      if (typeof named === 'string' && !known.has(named) && Shallow.safeParse(given).success)
        return { [discriminator]: 'unknown', named: named.slice(0, longestMember), given };
    }
    const parsed = z.safeParse(members as z.ZodType, given);
    if (parsed.success) return parsed.data;
    for (const { message, path } of parsed.error.issues)
      context.issues.push({ code: 'custom', message, path: [...path], input: given });
    return z.NEVER;
  });
};

const rebuild = (schema: Schema, change: object): Schema =>
  z.core.clone(schema as never, { ...schema._zod.def, ...change } as never);

const openOnce = (schema: Schema): Schema => {
  const { def } = schema._zod as unknown as { def: z.core.$ZodTypes['_zod']['def'] };
  switch (def.type) {
    case 'enum':
      return z.string().max(longestMember);
    case 'object': {
      const { catchall: _strict, ...rest } = def;
      const shape = Object.fromEntries(Object.entries(def.shape).map(([key, one]) => [key, open(one)]));
      return z.core.clone(schema as never, { ...rest, shape } as never);
    }
    case 'array':
      return rebuild(schema, { element: open(def.element) });
    case 'record': {
      // The keys of a partial record are an enum: an unknown key is carried.
      const keys = def.keyType._zod.def.type === 'enum' ? z.string().max(longestMember) : def.keyType;
      return z.record(keys as z.ZodString, open(def.valueType) as z.ZodType);
    }
    case 'union':
      return 'discriminator' in def
        ? openUnion(def as z.core.$ZodDiscriminatedUnionDef)
        : rebuild(schema, { options: def.options.map((option) => open(option)) });
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
      return rebuild(schema, { innerType: open(def.innerType) });
    default:
      return schema;
  }
};

const open = (schema: Schema): Schema => {
  const before = cache.get(schema);
  if (before) return before;
  const made = openOnce(schema);
  cache.set(schema, made);
  return made;
};

/**
 * The schema by which a reader reads what others wrote: at any depth, it leaves out keys that this version does not
 * know instead of refusing them, and carries members of enums and unions that it does not know. So an old reader can
 * read what a newer writer writes, and does not judge what it does not know.
 */
export const opened = <Of extends z.ZodType>(schema: Of): z.ZodType<Opened<z.output<Of>>> =>
  open(schema) as z.ZodType<Opened<z.output<Of>>>;
