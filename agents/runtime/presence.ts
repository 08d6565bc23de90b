import type { LogConnection } from '../../eventlog/connection/connect.ts';
import { createSayPresent, idlePresenceEveryMs, type Presence } from '../../eventlog/live/presence.ts';
import { createSayOnce } from '../../eventlog/say-once.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import type { Clock } from './ports.ts';
import type { Trouble } from './trouble.ts';

type Told = Omit<Presence, 'time'>;

/** A step that is over within this time is not shown: fleets run hundreds of them a second. */
const momentMs = 200;

const isIdle = ({ running, unsent, open = [], trouble }: Told) =>
  running === null && unsent === 0 && open.length === 0 && !trouble;

/** Publishes what a host is and does. A call during another call does nothing. */
export interface Presenting {
  now(): Promise<void>;
  /** Something has changed: publishes within a moment, once for all that changes until then. */
  soon(): void;
  /** Publishes it too, unless nothing has changed: a host that has nothing to do reports more rarely. */
  regularly(): Promise<void>;
}

/**
 * @param key signs what is published.
 * @param connected the connection, once there is one.
 * @param tell returns what to publish; undefined if nothing is to be published any more.
 */
export const createPresence = ({
  fleet,
  key,
  connected,
  tell,
  trouble,
  clock,
  say,
}: {
  fleet: string;
  key: WriterKey;
  connected: () => LogConnection | undefined;
  tell: () => Promise<Told | undefined>;
  /** Why the host does not work. */
  trouble: Pick<Trouble, 'now'>;
  clock: Pick<Clock, 'now' | 'monotonicMs' | 'after'>;
  say: (text: string) => void;
}): Presenting => {
  const presenting = createSayOnce(say);
  const sayPresent = createSayPresent({ fleet, key });
  let [isPresenting, isDue] = [false, false];
  let last: { told: Told; at: number } | undefined;
  const now = async () => {
    const connection = connected();
    if (!connection || isPresenting) return;
    isPresenting = true;
    try {
      const time = new Date(clock.now()).toISOString();
      const told = await tell();
      if (told) {
        sayPresent(connection, { ...told, time });
        last = { told, at: clock.monotonicMs() };
      }
      presenting.over();
    } catch (error) {
      presenting.trouble(error, 'presence: ');
    } finally {
      isPresenting = false;
    }
  };
  return {
    now,
    soon() {
      if (isDue) return;
      isDue = true;
      clock.after(momentMs, () => {
        isDue = false;
        void now();
      });
    },
    async regularly() {
      const mayRest = last && isIdle(last.told) && trouble.now() === null;
      if (!mayRest || clock.monotonicMs() - (last?.at ?? 0) >= idlePresenceEveryMs) await now();
    },
  };
};
