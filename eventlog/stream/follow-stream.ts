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
import { sha256 } from '../../schemas/hash.ts';
import { logManager } from './provision.ts';

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

/** A message that was handed over: where it stood, and the sha256 of its bytes. */
export interface Handed {
  sequence: number;
  hash: string;
}

/** Notices that a stream no longer holds what it has handed over: it has lost its tail, or was made anew. */
export interface CutGuard {
  /**
   * Asked whenever the consumer is made anew, and every few seconds. May fail: then it is asked again.
   * @param handed the last messages that were handed over, oldest first: of several, what is there may have been put
   * back in another order.
   */
  isHeld: (handed: readonly Handed[]) => Promise<boolean>;
  /** Gives the sequence to begin anew from, or says that there is nothing more to wait for. */
  onCut: () => Promise<number | 'enough'>;
}

export interface FollowStreamOptions {
  stream: string;
  /** Only these subjects. */
  filter?: string;
  /** The first sequence to hand over. */
  from: number;
  /** Only what is there: ends with the last message that the filter lets through, or at once. */
  whilePending?: boolean;
  guard?: CutGuard;
  /** Told of each failure that is waited for. With it, the first ones are waited for as well. */
  onTrouble?: ((error: unknown) => void) | undefined;
  signal?: AbortSignal | undefined;
}

const againAfterMs = 500;
const lookEveryMs = 2_000;
/** So many messages are compared where a connection was lost. */
const comparedAtOnce = 16;
/** A request that was on its way when a server came back gets no answer: one more is worth its 5 s. */
const firstTries = 2;

/**
 * Hands over a stream's messages, in order, one at a time and each once, until `signal` fires or `onMessage` says
 * `enough`. Goes on after the last one that it handed over when the server, the connection or the consumer was lost; where
 * `guard` finds that the stream was cut, from where that says.
 * @throws what the server answers, or that it doesn't, twice, before anything could be read; later on it is waited for.
 */
export const followStream = async (
  connection: NatsConnection,
  { stream, filter, from, whilePending = false, guard, onTrouble, signal }: FollowStreamOptions,
  onMessage: (message: JsMsg) => Promise<'more' | 'enough'>,
): Promise<void> => {
  let next = from;
  let failures = 0;
  const handed: Handed[] = [];
  for (let begun = false; !signal?.aborted; ) {
    const name = nuid.next();
    const make = async () => {
      const manager = await logManager(connection);
      if (begun && guard && !(await guard.isHeld(handed))) {
        const anew = await guard.onCut();
        if (anew === 'enough') return undefined;
        next = anew;
        handed.length = 0;
      }
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
      if ((!begun && !onTrouble && failures >= firstTries) || connection.isClosed()) throw error;
      onTrouble?.(error);
      await sleep(againAfterMs);
      continue;
    }
    if (!made) return;
    const fresh = !begun;
    begun = true;
    if (whilePending && made.pending === 0) return;
    let previous: number | undefined;
    const session = new AbortController();
    let looking = false;
    const look = async () => {
      if (looking || !guard) return;
      looking = true;
      // Whether it can be asked is not the question here: a server that is gone shows elsewhere.
      if (!(await guard.isHeld(handed.slice(-1)).catch(() => true))) session.abort();
      looking = false;
    };
    const watching = setInterval(() => void look(), lookEveryMs);
    const stop = signal ? AbortSignal.any([signal, session.signal]) : session.signal;
    try {
      for await (const message of consumeMessages(connection, made.consumer, 5_000, stop)) {
        if (message.seq < next) continue;
        // Without a filter sequences follow each other. What a consumer skips was lost on the way: it is asked for again.
        if (filter === undefined && previous !== undefined && message.seq !== previous + 1) break;
        previous = message.seq;
        next = message.seq + 1;
        if (guard && handed.push({ sequence: message.seq, hash: sha256(message.data) }) > comparedAtOnce)
          handed.shift();
        if ((await onMessage(message)) === 'enough') return;
        if (whilePending && message.info.pending === 0) return;
      }
    } finally {
      clearInterval(watching);
      void made.manager.consumers.delete(stream, name).catch(() => undefined); // it ends by itself in a minute
    }
    if (!fresh && previous === undefined && !signal?.aborted) await sleep(againAfterMs);
  }
};
