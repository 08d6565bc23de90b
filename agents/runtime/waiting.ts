import type { Clock } from './ports.ts';

/** A wait that others may end. Only one caller waits at a time. */
export interface Waiting {
  /** Ends the present wait. */
  wake(): void;
  /** Waits until it is woken, the signal fires, or `atMostMs` has passed. */
  wait(atMostMs?: number): Promise<void>;
}

export const createWaiting = (clock: Pick<Clock, 'after'>, signal: AbortSignal): Waiting => {
  let end: (() => void) | undefined;
  const wake = () => end?.();
  signal.addEventListener('abort', wake);
  return {
    wake,
    wait: (atMostMs) =>
      new Promise<void>((resolve) => {
        if (signal.aborted) return resolve();
        let callOff: (() => void) | undefined;
        end = () => {
          end = undefined;
          callOff?.();
          resolve();
        };
        if (atMostMs !== undefined) callOff = clock.after(atMostMs, () => end?.());
      }),
  };
};
