import type { Quota } from '../../schemas/log-limits.ts';

const minuteMs = 60_000;
const dayMs = 24 * 3_600_000;

/** How full a quota is. It empties steadily, over the quota's time. */
interface Level {
  value: number;
  at: number;
}

const filled = ({ value, at }: Level, add: number, now: number, capacity: number, overMs: number): Level => ({
  value: Math.max(0, value - ((now - at) * capacity) / overMs) + add,
  at: now,
});

interface Writer {
  minuteBytes: Level;
  minuteMessages: Level;
  dayBytes: Level;
}

/** Measures what each writer adds. */
export interface Meter {
  /** @returns in words what is over the quota, if it is. @param times a writer's quota is so many times the usual one. */
  note(writer: string, bytes: number, times?: number): string | undefined;
  /** Forgets what a writer, or everybody, has added. */
  forget(writer?: string): void;
}

const mega = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;

/** @param now a clock that only runs forward, in milliseconds. */
export const createMeter = (quota: Quota, now: () => number): Meter => {
  const writers = new Map<string, Writer>();
  const begin = (at: number): Writer => ({
    minuteBytes: { value: 0, at },
    minuteMessages: { value: 0, at },
    dayBytes: { value: 0, at },
  });
  return {
    note(writer, bytes, times = 1) {
      const at = now();
      const [perMinute, messages, perDay] = [
        quota.bytesPerMinute * times,
        quota.messagesPerMinute * times,
        quota.bytesPerDay * times,
      ];
      const before = writers.get(writer) ?? begin(at);
      const after: Writer = {
        minuteBytes: filled(before.minuteBytes, bytes, at, perMinute, minuteMs),
        minuteMessages: filled(before.minuteMessages, 1, at, messages, minuteMs),
        dayBytes: filled(before.dayBytes, bytes, at, perDay, dayMs),
      };
      writers.set(writer, after);
      // The headers count as well, and the server's own limit is a mebibyte with them.
      if (bytes > quota.messageBytes * 1.1) return `one message of ${mega(bytes)}`;
      if (after.minuteBytes.value > perMinute) return `more than ${mega(perMinute)} within a minute`;
      if (after.minuteMessages.value > messages) return `more than ${messages} messages within a minute`;
      if (after.dayBytes.value > perDay) return `more than ${mega(perDay)} within a day`;
      return undefined;
    },
    forget(writer) {
      if (writer === undefined) writers.clear();
      else writers.delete(writer);
    },
  };
};
