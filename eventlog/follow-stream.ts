import { setTimeout as sleep } from 'node:timers/promises';
import {
  AckPolicy,
  type Consumer,
  DeliverPolicy,
  Events,
  type JsMsg,
  type NatsConnection,
  nuid,
  type QueuedIterator,
  type Status,
} from 'nats';

/** A message as it comes from a stream, before anything is made of it. */
export type LogMessage = JsMsg;

/** What a consumer's status says when it is gone. The server may have lost it in a restart. */
const gone: ReadonlySet<string> = new Set(['consumer_deleted', 'consumer_not_found', 'stream_not_found']);

/** How long a pull waits at the server. Half of it without a sign of life, twice, and the consumer is asked after. */
const pullExpiresMs = 5_000;

/**
 * The messages of a pull consumer, until `signal` fires, the consumer is gone, or the connection was made anew: what
 * was on its way then is lost, and the caller has to ask for the consumer again.
 */
export async function* consumeMessages(
  connection: NatsConnection,
  consumer: Consumer,
  maxMessages: number,
  signal?: AbortSignal,
): AsyncGenerator<JsMsg> {
  if (signal?.aborted) return;
  const messages = await consumer.consume({ max_messages: maxMessages, expires: pullExpiresMs });
  const stop = () => messages.stop();
  const connectionStatus = connection.status() as QueuedIterator<Status>;
  signal?.addEventListener('abort', stop, { once: true });
  void connection.closed().then(stop);
  void (async () => {
    for await (const { type } of connectionStatus) if (type === Events.Reconnect) stop();
  })();
  void (async () => {
    for await (const { type } of await messages.status()) if (gone.has(type)) stop();
  })();
  try {
    for await (const message of messages) {
      if (signal?.aborted) return;
      yield message;
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    connectionStatus.stop();
    stop();
  }
}

export interface FollowStreamOptions {
  stream: string;
  /** Only these subjects. */
  filter?: string;
  /** The first sequence to hand over. */
  from: number;
  /** Only what is there: ends with the last message that the filter lets through, or at once. */
  whilePending?: boolean;
  signal?: AbortSignal | undefined;
}

const againAfterMs = 500;
/** A request that was on its way when a server came back gets no answer: one more is worth its 5 s. */
const firstTries = 2;

/**
 * Hands over a stream's messages, in order, one at a time and each once, until `signal` fires or `onMessage` says
 * `enough`. Goes on after the last one that it handed over when the server, the connection or the consumer was lost.
 * @throws what the server answers, or that it doesn't, twice, before anything could be read; later on it is waited for.
 */
export const followStream = async (
  connection: NatsConnection,
  { stream, filter, from, whilePending = false, signal }: FollowStreamOptions,
  onMessage: (message: JsMsg) => Promise<'more' | 'enough'>,
): Promise<void> => {
  let next = from;
  let failures = 0;
  for (let begun = false; !signal?.aborted; ) {
    const name = nuid.next();
    const make = async () => {
      const manager = await connection.jetstreamManager();
      const { num_pending } = await manager.consumers.add(stream, {
        name,
        ...(filter === undefined ? {} : { filter_subject: filter }),
        ack_policy: AckPolicy.None,
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: next,
        mem_storage: true,
        inactive_threshold: 60_000_000_000,
      });
      return {
        manager,
        pending: num_pending,
        consumer: await connection.jetstream().consumers.get(stream, name),
      };
    };
    let made: Awaited<ReturnType<typeof make>>;
    try {
      made = await make();
    } catch (error) {
      failures += 1;
      if ((!begun && failures >= firstTries) || connection.isClosed()) throw error;
      await sleep(againAfterMs);
      continue;
    }
    const fresh = !begun;
    begun = true;
    if (whilePending && made.pending === 0) return;
    let previous: number | undefined;
    try {
      for await (const message of consumeMessages(connection, made.consumer, 5_000, signal)) {
        if (message.seq < next) continue;
        // Without a filter sequences follow each other. What a consumer skips was lost on the way: it is asked for again.
        if (filter === undefined && previous !== undefined && message.seq !== previous + 1) break;
        previous = message.seq;
        next = message.seq + 1;
        if ((await onMessage(message)) === 'enough') return;
        if (whilePending && message.info.pending === 0) return;
      }
    } finally {
      void made.manager.consumers.delete(stream, name).catch(() => undefined); // it ends by itself in a minute
    }
    if (!fresh && previous === undefined && !signal?.aborted) await sleep(againAfterMs);
  }
};
