import type { JsMsg, NatsConnection } from 'nats';
import { followStream, type Handed } from './follow-stream.ts';
import { isOpenTo, logInfo, logManager } from './provision.ts';

/** What a message takes in a stream besides its own bytes, about. */
const eachBytes = 40;

/** A message comes without its body, whose length stands in a header. Its own headers count as well. */
const sizeOf = ({ subject, headers }: JsMsg): number => {
  let bytes = eachBytes + subject.length;
  for (const name of headers?.keys() ?? []) {
    if (name === 'Nats-Msg-Size') bytes += Number(headers?.get(name));
    else for (const value of headers?.values(name) ?? []) bytes += name.length + value.length;
  }
  return bytes;
};

/**
 * Reports the size of each message that a stream takes from now on, until `signal` fires.
 * @throws if the stream is not there, or the connection is closed for good.
 */
export const followSizes = async (
  connection: NatsConnection,
  stream: string,
  onMessage: (subject: string, bytes: number) => void,
  signal: AbortSignal,
): Promise<void> => {
  const end = async () => {
    const manager = await logManager(connection);
    return (await manager.streams.info(stream)).state.last_seq;
  };
  const guard = {
    isHeld: async (handed: readonly Handed[]) => (await end()) >= (handed.at(-1)?.sequence ?? 0),
    onCut: async () => (await end()) + 1,
  };
  const from = (await end()) + 1;
  await followStream(connection, { stream, from, guard, headersOnly: true, signal }, async (message) => {
    onMessage(message.subject, sizeOf(message));
    return 'more';
  });
};

/** Names the log as it is now: another one was made by a restore. Undefined while it is being restored, or gone. */
export const logIdentity = async (connection: NatsConnection): Promise<string | undefined> => {
  const info = await logInfo(await logManager(connection));
  return info && isOpenTo(info.config.subjects) ? `${info.created}` : undefined;
};
