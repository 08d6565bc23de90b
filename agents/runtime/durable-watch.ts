import type { Clock, HandedMessage } from './ports.ts';

/**
 * How long the coordinator may take to see that a journal is behind and to make the host's durable again. It is longer
 * than the wait for an ack.
 */
const remadeWithinMs = 12_000;

/** What the pulls on a host's durable reveal about it: the host may not ask the server for a consumer's info. */
export interface DurableWatch {
  /** A pull returned this. */
  given(handed: Pick<HandedMessage, 'handed' | 'pending'> | 'nothing now'): void;
  /** The last message is in the journal, and acked. */
  noted(): void;
  /** The pulls have ended, so nothing is known any more. */
  ended(): void;
  /**
   * Whether every request and supersession for this host is in this process's journal. If a journal is behind, the
   * coordinator makes the durable again, which then delivers from its beginning. If nothing is missing, or the
   * coordinator is away, it does not; then it is enough that nothing arrives for as long as that would take.
   */
  hasHandedAll(): boolean;
}

export const createDurableWatch = (clock: Pick<Clock, 'monotonicMs'>): DurableWatch => {
  let fromBegin = false;
  /**
   * Whether nothing for the host is left to deliver, as far as is known; and whether something follows the last
   * message.
   */
  let [isLast, isNext] = [false, false];
  /** Since when the pulls return nothing; undefined while they return messages, or there are no pulls. */
  let quietSince: number | undefined;
  return {
    given(handed) {
      if (handed === 'nothing now') {
        isLast = true;
        quietSince ??= clock.monotonicMs();
        return;
      }
      quietSince = undefined;
      if (handed.handed === 1) fromBegin = true;
      isLast = false;
      isNext = handed.pending > 0;
    },
    noted() {
      isLast = !isNext;
    },
    ended() {
      isLast = false;
      quietSince = undefined;
    },
    hasHandedAll: () =>
      isLast &&
      (fromBegin || (quietSince !== undefined && clock.monotonicMs() - quietSince > remadeWithinMs)),
  };
};
