import type { MsgHdrs, NatsConnection } from 'nats';
import { eventStream } from './provision.ts';

/** A message as the stream holds it. */
export interface StoredMessage {
  sequence: number;
  subject: string;
  bytes: Uint8Array;
  headers: MsgHdrs;
}

/**
 * Reads one message of the log, or of another stream, by a direct get.
 * @param which A subject's last message, which needs only the right to that subject; the last message whose subject
 * matches a filter; the message at a sequence; or the
 * first message from a sequence on whose subject matches a filter.
 * @param timeout in milliseconds.
 * @returns undefined if there is none. @throws if the server does not answer.
 */
export const directGet = async (
  connection: NatsConnection,
  which: { subject: string } | { last_by_subj: string } | { seq: number; next_by_subj?: string },
  { timeout = 5_000, stream = eventStream }: { timeout?: number; stream?: string } = {},
): Promise<StoredMessage | undefined> => {
  const api = `$JS.API.DIRECT.GET.${stream}`;
  const reply =
    'subject' in which
      ? await connection.request(`${api}.${which.subject}`, undefined, { timeout })
      : await connection.request(api, JSON.stringify(which), { timeout });
  const { headers } = reply;
  if (headers?.code === 404) return undefined;
  if (headers?.code !== 0)
    throw new Error(
      `reading ${JSON.stringify(which)} back gave ${headers?.code ?? 'no headers'} ${headers?.description ?? ''}`,
    );
  return {
    sequence: Number(headers.get('Nats-Sequence')),
    subject: headers.get('Nats-Subject'),
    bytes: reply.data,
    headers,
  };
};
