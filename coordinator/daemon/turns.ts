import { createSayOnce } from '../../eventlog/say-once.ts';

/** Runs decisions, one at a time. */
export interface Turns {
  /** Asks for a decision: there may be something to decide. */
  call(): void;
  /** Resolves once nothing is being decided. */
  settled(): Promise<void>;
}

/** Runs one decision at a time, and once more for all calls that came meanwhile. */
export const createTurns = (
  turn: () => Promise<void>,
  signal: AbortSignal,
  say: (text: string) => void,
): Turns => {
  const judging = createSayOnce(say);
  let deciding = Promise.resolve();
  let [isDeciding, isCalled] = [false, false];
  const run = async () => {
    try {
      while (isCalled && !signal.aborted) {
        isCalled = false;
        await turn();
        judging.over();
      }
    } catch (error) {
      judging.trouble(error, 'ALARM: nothing could be decided: ');
    } finally {
      isDeciding = false;
    }
  };
  return {
    call: () => {
      isCalled = true;
      if (isDeciding) return;
      isDeciding = true;
      deciding = run();
    },
    settled: () => deciding,
  };
};
