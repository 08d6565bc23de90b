import { createSayOnce } from '../../eventlog/say-once.ts';
import type { Clock } from './ports.ts';

/** How old the information about the installed package in a presence may be. */
const seenForMs = 20_000;

/** The package that a host runs; null if nobody can tell. A broken package database is left for a step to repair. */
export interface InstalledPackage {
  /** Looks it up now. */
  look(): Promise<string | null>;
  /**
   * Returns what was looked up a short while ago: asking the package manager for each presence is too much for a small
   * board.
   */
  seen(): Promise<string | null>;
  /** Call when it may have changed. */
  forget(): void;
}

export const createInstalledPackage = (
  installed: () => Promise<string | null>,
  {
    clock,
    say,
    signal,
  }: { clock: Pick<Clock, 'monotonicMs'>; say: (text: string) => void; signal: AbortSignal },
): InstalledPackage => {
  const looking = createSayOnce(say);
  let last: { at: number; name: string | null } | undefined;
  const look = async () => {
    try {
      const found = await installed();
      looking.over();
      return found;
    } catch (error) {
      if (!signal.aborted) looking.trouble(error, 'which package is installed: ');
      return null;
    }
  };
  return {
    look,
    async seen() {
      if (!last || clock.monotonicMs() - last.at > seenForMs)
        last = { name: await look(), at: clock.monotonicMs() };
      return last.name;
    },
    forget() {
      last = undefined;
    },
  };
};
