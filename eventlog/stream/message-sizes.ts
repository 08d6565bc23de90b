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
 * @param onAnew called when another stream stands in its place, as after a restore: what is in it by then is not reported.
 * @throws if the stream is not there, or the connection is closed for good.
 */
export const followSizes = async (
  connection: NatsConnection,
  stream: string,
  {
    onMessage,
    onAnew,
    signal,
  }: { onMessage: (subject: string, bytes: number) => void; onAnew: () => void; signal: AbortSignal },
): Promise<void> => {
  const look = async () => {
    const manager = await logManager(connection);
    const { created, state } = await manager.streams.info(stream);
    return { created: `${created}`, last: state.last_seq };
  };
  const begun = await look();
  let { created } = begun;
  const guard = {
    isHeld: async (handed: readonly Handed[]) => {
      const now = await look();
      return now.created === created && now.last >= (handed.at(-1)?.sequence ?? 0);
    },
    onCut: async () => {
      const now = await look();
      created = now.created;
      onAnew();
      return now.last + 1;
    },
  };
  const from = begun.last + 1;
  await followStream(connection, { stream, from, guard, headersOnly: true, signal }, async (message) => {
    onMessage(message.subject, sizeOf(message));
    return 'more';
  });
};

/** Names the log: one that was restored is another one. Undefined while it is being restored, or gone. */
export const logIdentity = async (connection: NatsConnection): Promise<string | undefined> => {
  const info = await logInfo(await logManager(connection));
  return info && isOpenTo(info.config.subjects) ? `${info.created}` : undefined;
};
