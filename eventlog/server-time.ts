import type { NatsConnection } from 'nats';
import { eventStream, logManager, outputStream } from './provision.ts';

/**
 * The clock of the log's server, as it was when the fleet was last heard: hosts that are there say so every few seconds. It is
 * the one clock that everybody shares, and nobody's own.
 * @throws if the server does not answer.
 */
export const serverTime = async (connection: NatsConnection): Promise<Date> => {
  const manager = await logManager(connection);
  const streams = await Promise.all([eventStream, outputStream].map((name) => manager.streams.info(name)));
  return new Date(Math.max(...streams.map(({ state }) => Date.parse(state.last_ts) || 0)));
};
