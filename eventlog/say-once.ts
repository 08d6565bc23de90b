/** Says what goes wrong again and again: once, and not again until something else did or it went well. */
export interface SayOnce {
  /** @param before what stands before the error's own words. */
  trouble(error: unknown, before?: string): void;
  /** It went well. @returns whether there was trouble. */
  over(): boolean;
}

/** @param say what is said once. */
export const createSayOnce = (say: (text: string) => void): SayOnce => {
  let told: string | undefined;
  return {
    trouble(error, before = '') {
      const text = before + (error instanceof Error ? error.message : String(error));
      if (text !== told) say(text);
      told = text;
    },
    over() {
      const was = told !== undefined;
      told = undefined;
      return was;
    },
  };
};
