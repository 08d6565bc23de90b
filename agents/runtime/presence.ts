import type { LogConnection } from '../../eventlog/connection/connect.ts';
import { type Presence, sayPresent } from '../../eventlog/live/presence.ts';
import { createSayOnce } from '../../eventlog/say-once.ts';
import type { Clock } from './ports.ts';

type Told = Omit<Presence, 'time'>;

/**
 * Makes a function that publishes what a host is and does. A call during another call does nothing.
 * @param connected the connection, once there is one.
 * @param tell returns what to publish; undefined if nothing is to be published any more.
 */
export const createPresence = ({
  fleet,
  connected,
  tell,
  clock,
  say,
}: {
  fleet: string;
  connected: () => LogConnection | undefined;
  tell: () => Promise<Told | undefined>;
  clock: Pick<Clock, 'now'>;
  say: (text: string) => void;
}): (() => Promise<void>) => {
  const presenting = createSayOnce(say);
  let isPresenting = false;
  return async () => {
    const connection = connected();
    if (!connection || isPresenting) return;
    isPresenting = true;
    try {
      const time = new Date(clock.now()).toISOString();
      const told = await tell();
      if (told) sayPresent(connection, fleet, { ...told, time });
      presenting.over();
    } catch (error) {
      presenting.trouble(error, 'presence: ');
    } finally {
      isPresenting = false;
    }
  };
};
