import { z } from 'zod';
import { Sha256 } from './names.ts';

/**
 * A text for people that was made from facts, and that travels in an event because a host writes it to a file.
 * Decisions and comparisons look at `facts` alone: a better sentence changes no decision.
 */
export const Rendered = z.object({
  /** What it is: `close-document`, `note`. */
  as: z.string(),
  /** The {@link Iteration.digest} of the iteration when it was made: every event that it rests on. */
  facts: Sha256,
  text: z.string(),
});
export type Rendered = z.infer<typeof Rendered>;

const isRendered = (value: object): boolean =>
  'as' in value && 'facts' in value && 'text' in value && Object.keys(value).length === 3;

/** Returns the data without the words of rendered texts: two events have to agree in this part. */
export const withoutWords = (data: unknown): unknown => {
  if (typeof data !== 'object' || data === null) return data;
  if (Array.isArray(data)) return data.map(withoutWords);
  const kept = isRendered(data) ? { ...data, text: '' } : data;
  return Object.fromEntries(Object.entries(kept).map(([key, value]) => [key, withoutWords(value)]));
};
