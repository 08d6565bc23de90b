/**
 * Why a host does not work as it should, for people: it goes to the host's own log when it changes, and into its
 * presences.
 */
export interface Trouble {
  /** @param sentence null when it is over. */
  set(kind: 'journal' | 'disk' | 'log', sentence: string | null): void;
  /** All present trouble in one text; null if there is none. */
  now(): string | null;
}

/** @param say for the host's own log. */
export const createTrouble = (say: (text: string) => void): Trouble => {
  const known = new Map<string, string>();
  return {
    set(kind, sentence) {
      const before = known.get(kind);
      if (sentence === (before ?? null)) return;
      if (sentence === null) known.delete(kind);
      else known.set(kind, sentence);
      say(sentence ?? `over: ${before}`);
    },
    now: () => [...known.values()].join('; ') || null,
  };
};
