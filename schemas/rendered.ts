import { z } from 'zod';
import { Sha256 } from './names.ts';

/**
 * A text that was made of facts for people and that has to travel, since a host writes it down. Whoever decides or compares
 * looks at `facts` alone: a better sentence changes no decision.
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

/** The same data without the words of what was rendered: what two events have to agree in. */
export const withoutWords = (data: unknown): unknown => {
  if (typeof data !== 'object' || data === null) return data;
  if (Array.isArray(data)) return data.map(withoutWords);
  const kept = isRendered(data) ? { ...data, text: '' } : data;
  return Object.fromEntries(Object.entries(kept).map(([key, value]) => [key, withoutWords(value)]));
};
