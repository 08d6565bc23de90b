import type { z } from 'zod';

/** Reads what another program wrote; undefined if it is not JSON or does not fit. */
export const readJson = <Schema extends z.ZodType>(
  schema: Schema,
  bytes: Uint8Array,
): z.infer<Schema> | undefined => {
  try {
    return schema.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
  } catch {
    return undefined;
  }
};
