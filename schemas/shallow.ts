import { z } from 'zod';

/** How deep a value of no known shape may nest. Whoever prints or compares one goes down it, and a stack ends somewhere. */
const deepest = 50;

const isShallow = (value: unknown, left = deepest): boolean => {
  if (typeof value !== 'object' || value === null) return true;
  return left > 0 && Object.values(value).every((inner) => isShallow(inner, left - 1));
};

/** Any value, but for one that nests deeper than anybody writes. */
export const Shallow = z
  .unknown()
  .refine((value) => isShallow(value), { error: `must not nest more than ${deepest} deep` });
