import { type NatsConnection, NatsError } from 'nats';

const wrongLastSequence = 10071;

/**
 * Where the log or the subject ends, by the server's refusal of an append that expected another end; undefined if the
 * error is no such refusal.
 */
export const endNamedBy = (error: unknown): number | undefined => {
  const refusal = error instanceof NatsError ? error.api_error : undefined;
  const [, end] = /(?<!\d)(\d+)$/.exec(refusal?.description ?? '') ?? [];
  return refusal?.err_code === wrongLastSequence && end !== undefined ? Number(end) : undefined;
};

/** No log ends here: a publish that expects this end is always refused. */
const nowhere = Number.MAX_SAFE_INTEGER;

/** Asks for the last sequence by an expectation that never holds. @throws {NatsError} */
const askEnd = async (
  connection: NatsConnection,
  subject: string,
  expect: { lastSequence: number } | { lastSubjectSequence: number },
  timeout: number,
): Promise<number> => {
  try {
    await connection.jetstream().publish(subject, '', { expect, timeout });
  } catch (error) {
    const end = endNamedBy(error);
    if (end !== undefined) return end;
    throw error;
  }
  throw new Error(`the server accepted ${subject} after sequence ${nowhere}, where no log ends`);
};

/**
 * The log's last sequence, for writers that may not ask for it: an append with an expectation that never holds is
 * refused and stores nothing, and the refusal names the sequence (`wrong last sequence: 42`, on every server since
 * 2.2).
 * @param subject one of the writer's own.
 * @throws {NatsError} if the log does not answer, as while it is being restored.
 */
export const lastSequenceFor = (
  connection: NatsConnection,
  subject: string,
  timeoutMs = 5_000,
): Promise<number> => askEnd(connection, subject, { lastSequence: nowhere }, timeoutMs);

/** The same for one of the writer's own subjects: 0 if there is nothing under it. */
export const lastSequenceOf = (connection: NatsConnection, subject: string): Promise<number> =>
  askEnd(connection, subject, { lastSubjectSequence: nowhere }, 5_000);
