import {
  createInbox,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type QueuedIterator,
  type Status,
  type Subscription,
} from 'nats';
import { inboxOf } from '../connection/inbox.ts';
import { eventStream } from './provision.ts';

/** A message that a host's durable delivered. */
export interface PulledMessage {
  /** The message's sequence in the log. */
  seq: number;
  subject: string;
  data: Uint8Array;
  headers?: MsgHdrs | undefined;
  /** When the server stored it: milliseconds since 1970, by the server's clock. */
  storedAt: number;
  /** Counts what the durable has delivered since it was made, from 1. */
  handed: number;
  /** How many more the durable has for the host now. */
  pending: number;
  /** The message is in the journal. @returns once the server has confirmed the ack. @throws if it does not answer. */
  ack(): Promise<void>;
  /** The message is never to be delivered again. */
  term(): void;
}

/** What a pull yields: a message, or the sign that there is nothing now. */
export type Pulled = PulledMessage | 'nothing now';

/** The durable no longer delivers: it is gone, or the server does not answer. */
export class PullEnded extends Error {
  override readonly name = 'PullEnded';
}

/**
 * How long a pull waits at the server, how often it gives a sign of life meanwhile, and after how long without a sign it is
 * given up. The first pull soon shows that there is a durable at all.
 */
const firstWait = { expiresMs: 5_000, signEveryMs: 1_000, withinMs: 5_000 };
const laterWait = { expiresMs: 30_000, signEveryMs: 5_000, withinMs: 12_500 };
const firstSignWithinMs = 2_500;
const ackWithinMs = 5_000;

const noMessages = 404;
const requestTimeout = 408;
const idleHeartbeat = 100;

/** `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, NATS ADR-15; newer ones insert domain and account. */
const placeOf = (
  reply: string,
): Pick<PulledMessage, 'seq' | 'handed' | 'storedAt' | 'pending'> | undefined => {
  const tokens = reply.split('.');
  const [seq, handed, nanoseconds = 0, pending = 0] = (
    tokens.length > 9 ? tokens.slice(7, 11) : tokens.slice(5, 9)
  ).map(Number);
  if (!reply.startsWith('$JS.ACK.') || seq === undefined || handed === undefined) return undefined;
  return { seq, handed, storedAt: Math.floor(nanoseconds / 1e6), pending };
};

const pulled = (connection: NatsConnection, { subject, data, headers, reply = '' }: Msg): PulledMessage => {
  const place = placeOf(reply);
  if (!place)
    throw new PullEnded(`the durable delivered ${subject} with the reply "${reply}", which can't be acked`);
  return {
    subject,
    data,
    headers,
    ...place,
    ack: async () => void (await connection.request(reply, '+ACK', { timeout: ackWithinMs })),
    term: () => connection.publish(reply, '+TERM'),
  };
};

const signsOfLife: ReadonlySet<number> = new Set([idleHeartbeat, noMessages, requestTimeout]);

/**
 * Pulls from a host's durable, one message at a time, until `signal` fires or the connection was made again or closed.
 * It needs no more rights than the pull itself: the client's own loop asks for the consumer's info, which a host may
 * not. Instead it notices a pull without a sign of life, and the server's report that the durable was deleted.
 * @param batch how many messages may be on their way.
 * @throws {PullEnded} if the durable is gone, or the server silent.
 */
export async function* pullMessages(
  connection: NatsConnection,
  durable: string,
  batch: number,
  signal: AbortSignal,
): AsyncGenerator<Pulled> {
  if (signal.aborted) return;
  const inbox = createInbox(inboxOf(durable));
  const subscription: Subscription = connection.subscribe(inbox);
  const stop = () => subscription.unsubscribe();
  let left = 0;
  let wait = firstWait;
  const pull = () => {
    left = batch;
    const { expiresMs, signEveryMs } = wait;
    connection.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${eventStream}.${durable}`,
      JSON.stringify({ batch, expires: expiresMs * 1e6, idle_heartbeat: signEveryMs * 1e6 }),
      { reply: inbox },
    );
  };
  let isSilent = false;
  let callOff: NodeJS.Timeout | undefined;
  const awaitSign = (withinMs: number) => {
    callOff = setTimeout(() => {
      isSilent = true;
      stop();
    }, withinMs);
  };
  const connectionStatus = connection.status() as QueuedIterator<Status>;
  void (async () => {
    for await (const { type } of connectionStatus) if (String(type) === 'reconnect') stop();
  })();
  void connection.closed().then(stop);
  signal.addEventListener('abort', stop, { once: true });
  try {
    pull();
    awaitSign(firstSignWithinMs);
    for await (const message of subscription) {
      if (signal.aborted) return;
      const code = message.reply ? undefined : message.headers?.code;
      // While the reader handles a message nothing is read, so a missing sign means nothing.
      clearTimeout(callOff);
      if (!code) {
        left -= 1;
        yield pulled(connection, message);
      } else if (signsOfLife.has(code)) {
        yield 'nothing now';
      } else
        throw new PullEnded(
          code === 503
            ? 'the durable is gone'
            : `the durable delivers nothing: ${code} ${message.headers?.description ?? ''}`,
        );
      if (code === noMessages || code === requestTimeout) wait = laterWait;
      if (left <= 0 || code === noMessages || code === requestTimeout) pull();
      awaitSign(wait.withinMs);
    }
    if (isSilent) throw new PullEnded('the durable is gone, or the log does not answer');
  } finally {
    clearTimeout(callOff);
    signal.removeEventListener('abort', stop);
    connectionStatus.stop();
    stop();
  }
}
