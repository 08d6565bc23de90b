import type { Presence } from '../../eventlog/live/presence.ts';
import type { Clock } from './ports.ts';

/** What the coordinator has heard of its hosts since it started. */
export interface HostsHeard {
  hear(presence: Presence): void;
  /** When the host was last heard, by the clock; the coordinator's own start if it has not been heard yet. */
  lastSeen(host: string): number;
  /** The checkpoint of the log that a host reports to know. */
  knows(host: string): { epoch: number; size: number } | undefined;
}

export const createHostsHeard = (clock: Pick<Clock, 'now'>): HostsHeard => {
  const startedAt = clock.now();
  const seen = new Map<string, number>();
  const known = new Map<string, { epoch: number; size: number }>();
  return {
    hear({ host, checkpoint }) {
      seen.set(host, clock.now());
      if (checkpoint) known.set(host, checkpoint);
    },
    lastSeen: (host) => seen.get(host) ?? startedAt,
    knows: (host) => known.get(host),
  };
};
