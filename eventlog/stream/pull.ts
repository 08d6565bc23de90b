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

/** A message that a host's durable handed over. */
export interface PulledMessage {
  /** Where it stands in the log. */
  seq: number;
  subject: string;
  data: Uint8Array;
  headers?: MsgHdrs | undefined;
  /** Counts what the durable has handed over since it was made, from 1. */
  handed: number;
  /** How many more the durable has for the host now. */
  pending: number;
  /** It is in the journal. @returns once the server has heard it. @throws if it does not answer. */
  ack(): Promise<void>;
  /** It is never to be handed over again. */
  term(): void;
}

/** What a pull that stands at the server gives: a message, or word that there is nothing now. */
export type Pulled = PulledMessage | 'nothing now';

/** The durable does not hand over any more: it is gone, or the server does not answer. */
export class PullEnded extends Error {
  override readonly name = 'PullEnded';
}

/** How long a pull stands at the server. */
const expiresMs = 5_000;
/** A pull that has nothing to give says so as often. */
const signEveryMs = 1_000;
/** So long without a sign, and the pull is given up: the first one tells that there is a durable at all. */
const [firstSignWithinMs, signWithinMs] = [2_500, 5_000];
const ackWithinMs = 5_000;

const noMessages = 404;
const requestTimeout = 408;
const idleHeartbeat = 100;

/** `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, NATS ADR-15; newer ones insert domain and account. */
const placeOf = (reply: string): { seq: number; handed: number; pending: number } | undefined => {
  const tokens = reply.split('.');
  const [seq, handed, , pending] = (tokens.length > 9 ? tokens.slice(7, 11) : tokens.slice(5, 9)).map(Number);
  if (!reply.startsWith('$JS.ACK.') || seq === undefined || handed === undefined) return undefined;
  return { seq, handed, pending: pending ?? 0 };
};

const pulled = (connection: NatsConnection, { subject, data, headers, reply = '' }: Msg): PulledMessage => {
  const place = placeOf(reply);
  if (!place)
    throw new PullEnded(`the durable handed over ${subject} with "${reply}", where nothing can be acked`);
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
 * Pulls from a host's durable, one message at a time, until `signal` fires or the connection was made anew or closed. Needs
 * no more rights than the pull itself: the client's own loop asks what a consumer is, which a host may not. What it notices
 * instead is a pull that gives no sign of life, and the server's word that the durable was deleted.
 * @param batch so many messages may be on their way.
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
  const pull = () => {
    left = batch;
    connection.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${eventStream}.${durable}`,
      JSON.stringify({ batch, expires: expiresMs * 1e6, idle_heartbeat: signEveryMs * 1e6 }),
      { reply: inbox },
    );
  };
  let isSilent = false;
  let signAt = performance.now();
  let within = firstSignWithinMs;
  let isBusy = false;
  const watching = setInterval(() => {
    // While the reader has a message in hand nothing is read, so nothing is missed.
    if (isBusy || performance.now() - signAt < within) return;
    isSilent = true;
    stop();
  }, 250);
  const connectionStatus = connection.status() as QueuedIterator<Status>;
  void (async () => {
    for await (const { type } of connectionStatus) if (String(type) === 'reconnect') stop();
  })();
  void connection.closed().then(stop);
  signal.addEventListener('abort', stop, { once: true });
  try {
    pull();
    for await (const message of subscription) {
      if (signal.aborted) return;
      const code = message.reply ? undefined : message.headers?.code;
      [signAt, within] = [performance.now(), signWithinMs];
      isBusy = true;
      if (!code) {
        left -= 1;
        yield pulled(connection, message);
      } else if (signsOfLife.has(code)) {
        yield 'nothing now';
      } else
        throw new PullEnded(
          code === 503
            ? 'the durable is gone'
            : `the durable hands over nothing: ${code} ${message.headers?.description ?? ''}`,
        );
      if (left <= 0 || code === noMessages || code === requestTimeout) pull();
      [signAt, isBusy] = [performance.now(), false];
    }
    if (isSilent) throw new PullEnded('the durable is gone, or the log does not answer');
  } finally {
    clearInterval(watching);
    signal.removeEventListener('abort', stop);
    connectionStatus.stop();
    stop();
  }
}
