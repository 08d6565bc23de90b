import { createSayOnce } from '../../eventlog/say-once.ts';
import type { Clock } from './ports.ts';

/** How old what a presence says of the installed package may be. */
const seenForMs = 20_000;

/** The package that a host runs, or null where nobody can say: a package database that is broken is a step's to mend. */
export interface InstalledPackage {
  /** As it is now. */
  look(): Promise<string | null>;
  /** As it was a short while ago: a small board has more to do than to ask its package manager with each presence. */
  seen(): Promise<string | null>;
  /** It may have changed. */
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
