import { type NatsConnection, NatsError } from 'nats';

export const wrongLastSequence = 10071;

/** No log ends here: what is said on the condition that it does is always refused. */
const nowhere = Number.MAX_SAFE_INTEGER;

/**
 * The log's last sequence, as who may only write learns it: an append on a condition that never holds is refused, stores
 * nothing, and the refusal names the sequence (`wrong last sequence: 42`, as every server since 2.2 says it).
 * @param subject one of the writer's own.
 * @throws {NatsError} if the log does not answer. It takes nothing while it is being restored.
 */
export const lastSequenceFor = async (
  connection: NatsConnection,
  subject: string,
  timeoutMs = 5_000,
): Promise<number> => {
  try {
    await connection
      .jetstream()
      .publish(subject, '', { expect: { lastSequence: nowhere }, timeout: timeoutMs });
  } catch (error) {
    const refusal = error instanceof NatsError ? error.api_error : undefined;
    const [, last] = /(\d+)$/.exec(refusal?.description ?? '') ?? [];
    if (refusal?.err_code === wrongLastSequence && last !== undefined) return Number(last);
    throw error;
  }
  throw new Error(`the log took ${subject} at sequence ${nowhere}, where no log ends`);
};
