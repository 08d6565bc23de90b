/** Reports recurring trouble once: the same text is not repeated until another trouble or a success came between. */
export interface SayOnce {
  /** @param before text to put before the error's message. */
  trouble(error: unknown, before?: string): void;
  /** Call after a success. @returns whether there was trouble. */
  over(): boolean;
}

/** @param say called with each text that is not a repetition. */
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
