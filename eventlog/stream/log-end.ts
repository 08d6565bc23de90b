import { type NatsConnection, NatsError } from 'nats';

export const wrongLastSequence = 10071;

/** No log ends here: what is said on the condition that it does is always refused. */
const nowhere = Number.MAX_SAFE_INTEGER;

/** Where something ends that is said to end nowhere. @throws {NatsError} */
const askEnd = async (
  connection: NatsConnection,
  subject: string,
  expect: { lastSequence: number } | { lastSubjectSequence: number },
  timeout: number,
): Promise<number> => {
  try {
    await connection.jetstream().publish(subject, '', { expect, timeout });
  } catch (error) {
    const refusal = error instanceof NatsError ? error.api_error : undefined;
    const [, last] = /(\d+)$/.exec(refusal?.description ?? '') ?? [];
    if (refusal?.err_code === wrongLastSequence && last !== undefined) return Number(last);
    throw error;
  }
  throw new Error(`the server took ${subject} at sequence ${nowhere}, where nothing ends`);
};

/**
 * The log's last sequence, as who may only write learns it: an append on a condition that never holds is refused, stores
 * nothing, and the refusal names the sequence (`wrong last sequence: 42`, as every server since 2.2 says it).
 * @param subject one of the writer's own.
 * @throws {NatsError} if the log does not answer. It takes nothing while it is being restored.
 */
export const lastSequenceFor = (
  connection: NatsConnection,
  subject: string,
  timeoutMs = 5_000,
): Promise<number> => askEnd(connection, subject, { lastSequence: nowhere }, timeoutMs);

/** The same of one of the writer's own subjects: 0 where nothing is under it. */
export const lastSequenceOf = (connection: NatsConnection, subject: string): Promise<number> =>
  askEnd(connection, subject, { lastSubjectSequence: nowhere }, 5_000);
