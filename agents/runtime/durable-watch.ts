import type { Clock, HandedMessage } from './ports.ts';

/** So long the coordinator may take to see that a journal is behind, and to make the host's durable anew; longer than its acks are waited for. */
const remadeWithinMs = 12_000;

/** What the pulls on a host's durable tell of it: the host may not ask the server what a consumer is. */
export interface DurableWatch {
  /** What a pull gave. */
  given(handed: Pick<HandedMessage, 'handed' | 'pending'> | 'nothing now'): void;
  /** The message that was given last is in the journal, and acked. */
  noted(): void;
  /** Nothing is known any more: the pulls have ended. */
  ended(): void;
  /**
   * Whether all that was ever asked of this host, and called off, is in the journal of this process. The coordinator makes
   * the durable of a journal that is behind anew: then it has handed over from its begin. Where nothing is missing, or the
   * coordinator is away, it does not, and nothing more comes for as long as it would take.
   */
  hasHandedAll(): boolean;
}

export const createDurableWatch = (clock: Pick<Clock, 'monotonicMs'>): DurableWatch => {
  let fromBegin = false;
  /** Whether nothing for the host is left to hand over, as far as is known; whether something is behind the last message. */
  let [isLast, isNext] = [false, false];
  /** When the pulls began to give nothing; undefined while they give, or there are none. */
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
