import { type NatsConnection, NatsError } from 'nats';
import { explainLogError } from '../stream/log-fault.ts';
import { eventStream, logManager, outputStream, streamNotFound } from '../stream/provision.ts';

/**
 * The clock of the log's server, as it was when the fleet was last heard: hosts that are there say so every few seconds. It is
 * the one clock that everybody shares, and nobody's own.
 * @throws {LogFault} if the log is gone, or does not answer; the output may be missing, as where its stream found no room.
 */
export const serverTime = async (connection: NatsConnection): Promise<Date> => {
  const manager = await logManager(connection);
  const lastSaid = async (stream: string): Promise<number> => {
    try {
      return Date.parse((await manager.streams.info(stream)).state.last_ts) || 0;
    } catch (error) {
      const isMissing = error instanceof NatsError && error.api_error?.err_code === streamNotFound;
      if (isMissing && stream === outputStream) return 0;
      throw await explainLogError(connection, error);
    }
  };
  return new Date(Math.max(...(await Promise.all([eventStream, outputStream].map(lastSaid)))));
};
