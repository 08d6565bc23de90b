import { headers, type MsgHdrs, type NatsConnection } from 'nats';
import type { z } from 'zod';
import { readJson } from '../files/read-json.ts';
import { signatureHeader } from '../signing/check-event.ts';
import type { Trust } from '../signing/trust.ts';
import { isSignedBy, type PayloadType, type WriterKey } from '../signing/writer-key.ts';

/** A message that is shown and is not in the log, as the server delivers it. */
export interface ShownMessage {
  subject: string;
  data: Uint8Array;
  headers?: MsgHdrs | undefined;
}

/** Why a message is not shown: what is wrong with it, as a word of this program, and in a sentence. */
export interface NotShown {
  cause: 'place' | 'writer' | 'signature' | 'shape' | 'order';
  why: string;
}

/** Publishes what is shown to people, signed by its writer, and does not wait. @throws if the connection is closed. */
export const publishSigned = (
  connection: NatsConnection,
  { type, key }: { type: PayloadType; key: WriterKey },
  subject: string,
  content: unknown,
): void => {
  const bytes = new TextEncoder().encode(JSON.stringify(content));
  const head = headers();
  head.set(signatureHeader, key.sign(type, bytes));
  connection.publish(subject, bytes, { headers: head });
};

/**
 * Reads what {@link publishSigned} wrote. Nothing is parsed before the signature is good.
 * @param by who has to have signed it. What the content says about its writer and its place, the caller compares.
 */
export const openSigned = <Schema extends z.ZodType>(
  trust: Trust,
  { type, schema, by }: { type: PayloadType; schema: Schema; by: string },
  { data, headers: head }: ShownMessage,
): { content: z.output<Schema> } | { refused: NotShown } => {
  const keys = trust.writers.get(by)?.keys ?? [];
  if (keys.length === 0)
    return { refused: { cause: 'writer', why: `no key that counts is pinned for the writer "${by}"` } };
  const signature = head?.get(signatureHeader) ?? '';
  if (!keys.some((key) => isSignedBy(key, type, data, signature)))
    return { refused: { cause: 'signature', why: `its signature is not ${by}'s` } };
  const content = readJson(schema, data);
  return content === undefined
    ? { refused: { cause: 'shape', why: `${by} has signed it, and it can't be read` } }
    : { content };
};
