import type { LogConnection } from '../../eventlog/connection/connect.ts';

/** What is known of a connection's state, and what may be asked over it. */
export interface ConnectionWatch {
  isUp(): boolean;
  /** The answer, or a rejection as soon as the connection is lost: what was asked over it gets none any more. */
  answer<Result>(asked: Promise<Result>): Promise<Result>;
}

/** @param onChange the connection was lost, or made anew. */
export const watchConnection = (connection: LogConnection, onChange: () => void): ConnectionWatch => {
  let isUp = true;
  const waiting = new Set<(error: Error) => void>();
  void (async () => {
    for await (const { type } of connection.status()) {
      const text = String(type);
      if (text !== 'disconnect' && text !== 'reconnect') continue;
      isUp = text === 'reconnect';
      for (const give of waiting) give(new Error('the connection to the log was lost'));
      onChange();
    }
  })();
  return {
    isUp: () => isUp && !connection.isClosed(),
    async answer(asked) {
      asked.catch(() => undefined); // its rejection may come after the connection's
      let give: (error: Error) => void = () => undefined;
      const lost = new Promise<never>((_resolve, reject) => {
        give = reject;
        waiting.add(give);
      });
      try {
        return await Promise.race([asked, lost]);
      } finally {
        waiting.delete(give);
      }
    },
  };
};
