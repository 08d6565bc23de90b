import type { NatsConnection } from 'nats';
import { type KeptMessage, signatureHeader } from '../signing/check-event.ts';
import { eventStream } from './provision.ts';

/**
 * Reads one message of the log, or of another stream, by a direct get.
 * @param which A subject's last message, which needs only the right to that subject, or the last one that a wildcard
 * matches; the message at a sequence; or the first message from a sequence on whose subject matches a filter.
 * @param timeout in milliseconds.
 * @returns undefined if there is none. @throws if the server does not answer.
 */
export const directGet = async (
  connection: NatsConnection,
  which: { subject: string } | { seq: number; next_by_subj?: string },
  { timeout = 5_000, stream = eventStream }: { timeout?: number; stream?: string } = {},
): Promise<KeptMessage | undefined> => {
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
    signature: headers.get(signatureHeader),
  };
};
