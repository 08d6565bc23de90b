import { headers, type MsgHdrs, type NatsConnection, NatsError, type PubAck } from 'nats';
import { type Envelope, type KaEvent, parseEvent } from '../schemas/events.ts';
import { followStream } from './follow-stream.ts';
import { eventStream } from './provision.ts';
import type { PinnedKeys, SealedEvent } from './seal.ts';
import { isSignedBy } from './writer-key.ts';

/** An event with its place in the log. */
export interface LoggedEvent {
  /** The stream's sequence: the only order there is. */
  sequence: number;
  subject: string;
  bytes: Uint8Array;
  event: KaEvent;
}

/** A message in the stream that is no event of the writer it claims to be from. Nothing is folded from it. */
export interface RefusedMessage {
  sequence: number;
  subject: string;
  why: string;
}

export type Appended =
  | { outcome: 'appended'; sequence: number }
  /** The same fact is there. */
  | { outcome: 'there'; sequence: number }
  /** The log has moved on since `expectedLast`: read on, decide again. */
  | { outcome: 'moved' };

/** The subject holds another fact than the one to append. Somebody uses this writer's name, or its journal is old. */
export class AppendConflict extends Error {
  override readonly name = 'AppendConflict';
}

const signatureHeader = 'Ka-Signature';
const wrongLastSequence = 10071;

/** What makes two events the same fact: all but the writer's bookkeeping, which a second writer can't know. */
const factOf = ({ time: _time, writerseq: _seq, prevhash: _prev, ...fact }: Envelope): string =>
  JSON.stringify(fact);

const sameFact = (a: Uint8Array, b: Uint8Array): boolean => {
  if (Buffer.compare(a, b) === 0) return true;
  const read = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as Envelope;
  try {
    return factOf(read(a)) === factOf(read(b));
  } catch {
    return false; // one of them is no event at all
  }
};

/**
 * Appends a sealed event once, for ever: its subject names the fact, so a second append of it answers `there`.
 * @param expectedLast append only if this is still the log's last sequence. Another fact that came to the subject
 * after it is no conflict: somebody was faster.
 * @throws {AppendConflict} if the subject holds another fact. @throws {NatsError} if the server does not answer.
 */
export const appendEvent = async (
  connection: NatsConnection,
  sealed: SealedEvent,
  expectedLast?: number,
): Promise<Appended> => {
  const jetstream = connection.jetstream();
  const head = headers();
  head.set(signatureHeader, sealed.signature);
  let ack: PubAck;
  try {
    ack = await jetstream.publish(sealed.subject, sealed.bytes, {
      headers: head,
      expect: {
        lastSubjectSequence: 0,
        ...(expectedLast === undefined ? {} : { lastSequence: expectedLast }),
      },
    });
  } catch (error) {
    if (!(error instanceof NatsError) || error.api_error?.err_code !== wrongLastSequence) throw error;
    const there = await readSubject(connection, sealed.subject);
    if (!there) {
      if (expectedLast === undefined) throw error; // it was there, and is not any more: nothing is known of it
      return { outcome: 'moved' };
    }
    if (sameFact(there.bytes, sealed.bytes)) return { outcome: 'there', sequence: there.sequence };
    if (expectedLast !== undefined && there.sequence > expectedLast) return { outcome: 'moved' };
    throw new AppendConflict(
      `${sealed.subject} already holds another fact, at sequence ${there.sequence}; nothing was appended`,
    );
  }
  return { outcome: 'appended', sequence: ack.seq };
};

/** The one message of a subject, by a direct get that needs a right to this subject alone. */
const readSubject = async (
  connection: NatsConnection,
  subject: string,
): Promise<{ sequence: number; bytes: Uint8Array } | undefined> => {
  const reply = await connection.request(`$JS.API.DIRECT.GET.${eventStream}.${subject}`, undefined, {
    timeout: 5_000,
  });
  const status = reply.headers?.code;
  if (status === 404) return undefined;
  if (status !== undefined && status !== 0)
    throw new Error(`reading ${subject} back gave ${status} ${reply.headers?.description ?? ''}`);
  return { sequence: Number(reply.headers?.get('Nats-Sequence')), bytes: reply.data };
};

/** Whether a message is an event, and by the writer that its subject names. */
export const checkMessage = (
  keys: PinnedKeys,
  message: { subject: string; data: Uint8Array; headers?: MsgHdrs | undefined },
  sequence: number,
): { logged: LoggedEvent } | { refused: RefusedMessage } => {
  const { subject, data: bytes } = message;
  const refuse = (why: string) => ({ refused: { sequence, subject, why } });
  const [, , writer = ''] = subject.split('.');
  const key = keys.get(writer);
  if (key === undefined) return refuse(`no key is pinned for the writer "${writer}"`);
  if (!isSignedBy(key, bytes, message.headers?.get(signatureHeader) ?? ''))
    return refuse(`its signature is not ${writer}'s`);
  let event: KaEvent;
  try {
    event = parseEvent(bytes);
  } catch (error) {
    return refuse(`it can't be read: ${error instanceof Error ? error.message : error}`);
  }
  // The signature covers the bytes, not the subject: an event counts only under the subject of its own fact.
  const isFor =
    event.kind === 'step' && (event.fact === 'Requested' || event.fact === 'Superseded')
      ? event.data.host
      : undefined;
  const ownSubject = ['ka', event.fleet, event.source, event.iteration, event.type, event.attempt];
  const isOwn =
    subject === [...ownSubject, ...(isFor === undefined ? [] : [isFor])].join('.') ||
    (event.kind === 'unknown' && subject.startsWith(`${ownSubject.join('.')}.`)); // nobody here knows whom it is for
  if (!isOwn)
    return refuse(
      `it names ${event.source}'s ${event.id}${isFor ? ` for ${isFor}` : ''} in ${event.fleet}, which is not what its subject says`,
    );
  return { logged: { sequence, subject, bytes, event } };
};

/** A reader of the whole log, in order. */
export class EventLog {
  readonly #connection: NatsConnection;
  readonly #keys: PinnedKeys;
  readonly #onRefused: (refused: RefusedMessage) => void;

  constructor(
    connection: NatsConnection,
    keys: PinnedKeys,
    onRefused: (refused: RefusedMessage) => void = () => undefined,
  ) {
    this.#connection = connection;
    this.#keys = keys;
    this.#onRefused = onRefused;
  }

  async lastSequence(): Promise<number> {
    const manager = await this.#connection.jetstreamManager();
    return (await manager.streams.info(eventStream)).state.last_seq;
  }

  /**
   * Hands every event from `from` on to `onEvent`, in order and one at a time, until `signal` fires; with `until`,
   * until that sequence was handed over. Survives reconnections: it goes on after the last event that it handed over.
   * A message that is refused is handed to `onRefused` in its place, and so are sequences that the log has lost.
   */
  async follow(
    options: {
      from?: number;
      until?: number;
      signal?: AbortSignal;
      onRefused?: (refused: RefusedMessage) => void;
    },
    onEvent: (logged: LoggedEvent) => void | Promise<void>,
  ): Promise<void> {
    const { from = 1, until, signal, onRefused = this.#onRefused } = options;
    if (until !== undefined && until < from) return;
    let next = from;
    await followStream(this.#connection, { stream: eventStream, from, signal }, async (message) => {
      const sequence = message.seq;
      if (sequence > next)
        onRefused({
          sequence: sequence - 1,
          subject: message.subject,
          why: `the log holds nothing from sequence ${next} to here: it has lost events`,
        });
      next = sequence + 1;
      const checked = checkMessage(this.#keys, message, sequence);
      if ('refused' in checked) onRefused(checked.refused);
      else await onEvent(checked.logged);
      return until !== undefined && next > until ? 'enough' : 'more';
    });
  }

  /** Every event up to what is the last message now, and that message's sequence. */
  async read(from = 1): Promise<{ events: LoggedEvent[]; lastSequence: number }> {
    const events: LoggedEvent[] = [];
    const lastSequence = await this.lastSequence();
    await this.follow({ from, until: lastSequence }, (logged) => void events.push(logged));
    return { events, lastSequence };
  }
}
