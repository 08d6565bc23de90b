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
import { type KeptMessage, signatureHeader } from '../signing/check-event.ts';
import { logManager } from './provision.ts';

/** The statuses of a consumer that is gone. The server may have lost it in a restart. */
const gone: ReadonlySet<string> = new Set(['consumer_deleted', 'consumer_not_found', 'stream_not_found']);

/**
 * How long a pull waits at the server. After two half periods without a sign of life, the client checks the consumer.
 */
const pullExpiresMs = 5_000;

/**
 * The messages of a pull consumer, until `signal` fires, the consumer is gone, or the connection was made again:
 * messages that were on their way then are lost, and the caller has to make the consumer again.
 */
export async function* consumeMessages(
  connection: NatsConnection,
  consumer: Consumer,
  maxMessages: number,
  signal?: AbortSignal,
): AsyncGenerator<{ message: JsMsg; left: number }> {
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
      // The client counts the message itself among those that have arrived.
      yield { message, left: Math.max(message.info.pending, messages.getPending() - 1) };
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    connectionStatus.stop();
    stop();
  }
}

/** A message that was delivered: its sequence, and the sha256 of its bytes. */
export interface Handed {
  sequence: number;
  hash: string;
}

/** Notices that a stream no longer holds what it has delivered: it has lost its tail, or was made again. */
export interface CutGuard {
  /**
   * Called whenever the consumer is made again, and every few seconds. If it fails, it is called again.
   * @param handed the last messages that were delivered, oldest first. There are several because a restored log may
   * hold the same messages in another order.
   */
  isHeld: (handed: readonly Handed[]) => Promise<boolean>;
  /** Returns the sequence to begin again from, or `enough` if there is nothing more to wait for. */
  onCut: () => Promise<number | 'enough'>;
}

/** A message as readers keep it. */
export const keptIn = ({ seq, subject, data, headers }: JsMsg): KeptMessage => ({
  sequence: seq,
  subject,
  bytes: data,
  signature: headers?.get(signatureHeader) ?? '',
});

export interface FollowStreamOptions {
  stream: string;
  /** Only these subjects. */
  filter?: string;
  /** The first sequence to deliver. */
  from: number;
  /** What was delivered before it, oldest first: it is compared before anything else is delivered. */
  handed?: Handed[];
  /**
   * Deliver only what is there now: ends with the last message that matches the filter, or at once if there is none.
   */
  whilePending?: boolean;
  /** Deliver messages without their bodies; `Nats-Msg-Size` then tells how long they are. */
  headersOnly?: boolean;
  guard?: CutGuard;
  /** Called for each failure that is waited out. With it, failures before the first read are waited out as well. */
  onTrouble?: ((error: unknown) => void) | undefined;
  signal?: AbortSignal | undefined;
}

const againAfterMs = 500;
const lookEveryMs = 4_000;
/** How many messages are compared after a connection was lost. */
export const comparedAtOnce = 16;
/** A request that was on its way when a server came back gets no answer. A second try is worth its 5 s. */
const firstTries = 2;

/** Asks once more if that fails, as when the server has just come back. @throws what the second try throws. */
export const askTwice = async <Answer>(
  connection: NatsConnection,
  ask: () => Promise<Answer>,
): Promise<Answer> => {
  try {
    return await ask();
  } catch (error) {
    if (connection.isClosed()) throw error;
    await sleep(againAfterMs);
    return ask();
  }
};

/**
 * The position of a follower: the next sequence to deliver, and the last messages that it has delivered, oldest first.
 */
interface Place {
  next: number;
  handed: Handed[];
}

/** A consumer of the next messages. */
interface Made {
  consumer: Consumer;
  pending: number;
  /** How many messages may be on their way. */
  onTheirWay: number;
  remove(): void;
}

/** Whatever is on its way is in memory: at most so many messages, or about so many bytes. */
const mostOnTheirWay = 5_000;
const bytesOnTheirWay = 32 * 1024 * 1024;

/** By the stream's average: the client can limit messages or bytes, and to bytes only a hundred messages at a time. */
const onTheirWay = ({ bytes, messages }: { bytes: number; messages: number }): number =>
  Math.min(mostOnTheirWay, Math.max(32, Math.floor((bytesOnTheirWay * messages) / Math.max(bytes, 1))));

const makeConsumer = async (
  connection: NatsConnection,
  { stream, filter, headersOnly = false }: FollowStreamOptions,
  next: number,
): Promise<Made> => {
  const manager = await logManager(connection);
  const name = nuid.next();
  const adding = manager.consumers.add(stream, {
    name,
    ...(filter === undefined ? {} : { filter_subject: filter }),
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: next,
    mem_storage: true,
    ...(headersOnly ? { headers_only: true } : {}),
    inactive_threshold: 60_000_000_000,
  });
  const [{ num_pending }, { state }] = await Promise.all([adding, manager.streams.info(stream)]);
  return {
    pending: num_pending,
    onTheirWay: onTheirWay(state),
    consumer: await connection.jetstream().consumers.get(stream, name),
    remove: () => void manager.consumers.delete(stream, name).catch(() => undefined), // else it ends in a minute
  };
};

/**
 * If the stream was cut, goes back to the sequence that the guard returns. @returns `enough` if there is nothing more
 * to wait for.
 */
const lookForCut = async (guard: CutGuard, place: Place): Promise<'more' | 'enough'> => {
  if (await guard.isHeld(place.handed)) return 'more';
  const anew = await guard.onCut();
  if (anew === 'enough') return 'enough';
  place.next = anew;
  place.handed.length = 0;
  return 'more';
};

/**
 * Returns a signal that fires once the stream no longer holds what was delivered last. It watches until it is stopped.
 */
const watchForCut = (guard: CutGuard | undefined, { handed }: Place) => {
  const session = new AbortController();
  let looking = false;
  const look = async () => {
    if (looking || !guard) return;
    looking = true;
    // A failure to ask does not count as a cut: a server that is gone is noticed elsewhere.
    if (!(await guard.isHeld(handed.slice(-1)).catch(() => true))) session.abort();
    looking = false;
  };
  const watching = setInterval(() => void look(), lookEveryMs);
  return { signal: session.signal, stop: () => clearInterval(watching) };
};

/** @param left at least so many messages follow it in the stream: the server has counted them, or they have arrived. */
type OnMessage = (message: JsMsg, left: number) => Promise<'more' | 'enough'>;

/** Delivers what a consumer sends, until the consumer ends, is cut, or skips a message. */
const handOver = async (
  messages: AsyncIterable<{ message: JsMsg; left: number }>,
  place: Place,
  { filter, whilePending = false, guard }: FollowStreamOptions,
  onMessage: OnMessage,
): Promise<{ ends: 'more' | 'enough'; handedAny: boolean }> => {
  let previous: number | undefined;
  for await (const { message, left } of messages) {
    if (message.seq < place.next) continue;
    // Without a filter, sequences are consecutive. A message that a consumer skips was lost on the way and is requested
    // again.
    if (filter === undefined && previous !== undefined && message.seq !== previous + 1) break;
    previous = message.seq;
    place.next = message.seq + 1;
    const { handed } = place;
    if (guard && handed.push({ sequence: message.seq, hash: sha256(message.data) }) > comparedAtOnce)
      handed.shift();
    const isLast =
      (await onMessage(message, left)) === 'enough' || (whilePending && message.info.pending === 0);
    if (isLast) return { ends: 'enough', handedAny: true };
  }
  return { ends: 'more', handedAny: previous !== undefined };
};

/**
 * Delivers a stream's messages, in order, one at a time and each once, until `signal` fires or `onMessage` returns
 * `enough`. If the server, the connection or the consumer was lost, it goes on after the last message that it
 * delivered. If `guard` finds that the stream was cut, it goes on from where `guard` says.
 * @throws the server's error, or its silence, if the second try before the first read fails; later failures are waited
 * out.
 */
export const followStream = async (
  connection: NatsConnection,
  options: FollowStreamOptions,
  onMessage: OnMessage,
): Promise<void> => {
  const { guard, onTrouble, signal } = options;
  const place: Place = { next: options.from, handed: options.handed ?? [] };
  let failures = 0;
  for (let begun = false; !signal?.aborted; ) {
    let made: Made;
    try {
      if ((begun || place.handed.length > 0) && guard && (await lookForCut(guard, place)) === 'enough')
        return;
      made = await makeConsumer(connection, options, place.next);
    } catch (error) {
      failures += 1;
      if ((!begun && !onTrouble && failures >= firstTries) || connection.isClosed()) throw error;
      onTrouble?.(error);
      await sleep(againAfterMs);
      continue;
    }
    const fresh = !begun;
    begun = true;
    if (options.whilePending && made.pending === 0) return;
    const watch = watchForCut(guard, place);
    const stop = signal ? AbortSignal.any([signal, watch.signal]) : watch.signal;
    let handedAny: boolean;
    try {
      const messages = consumeMessages(connection, made.consumer, made.onTheirWay, stop);
      const over = await handOver(messages, place, options, onMessage);
      if (over.ends === 'enough') return;
      ({ handedAny } = over);
    } finally {
      watch.stop();
      made.remove();
    }
    if (!fresh && !handedAny && !signal?.aborted) await sleep(againAfterMs);
  }
};
