import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from './ports.ts';

/** The clock of the machine that this runs on. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  pause: (ms, signal) => sleep(ms, undefined, signal && { signal }).catch(() => undefined),
  after(ms, what) {
    const timer = setTimeout(what, ms);
    return () => clearTimeout(timer);
  },
  every(ms, what) {
    const timer = setInterval(what, ms);
    return () => clearInterval(timer);
  },
};
