import { z } from 'zod';

/** How deep a value of unknown shape may nest. Printing and comparing recurse into it, and the stack is limited. */
const deepest = 50;

const isShallow = (value: unknown, left = deepest): boolean => {
  if (typeof value !== 'object' || value === null) return true;
  return left > 0 && Object.values(value).every((inner) => isShallow(inner, left - 1));
};

/** Any value that does not nest too deep. */
export const Shallow = z
  .unknown()
  .refine((value) => isShallow(value), { error: `must not nest more than ${deepest} deep` });
