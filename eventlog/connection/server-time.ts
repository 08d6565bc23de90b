import { type NatsConnection, NatsError } from 'nats';
import { explainLogError } from '../stream/log-fault.ts';
import { eventStream, logManager, presenceStream, streamNotFound } from '../stream/provision.ts';

/**
 * The time of the log's server when it last stored something from the fleet; running hosts send a presence every few
 * seconds. It is the one clock that everybody shares.
 * @throws {LogFault} if the log is gone, or does not answer. The stream of presences may be missing: there may be no
 * room for it.
 */
export const serverTime = async (connection: NatsConnection): Promise<Date> => {
  const manager = await logManager(connection);
  const lastSaid = async (stream: string): Promise<number> => {
    try {
      return Date.parse((await manager.streams.info(stream)).state.last_ts) || 0;
    } catch (error) {
      const isMissing = error instanceof NatsError && error.api_error?.err_code === streamNotFound;
      if (isMissing && stream === presenceStream) return 0;
      throw await explainLogError(connection, error);
    }
  };
  return new Date(Math.max(...(await Promise.all([eventStream, presenceStream].map(lastSaid)))));
};
