import type { NatsConnection } from 'nats';
import { noIteration, parseSubject } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import { IterationName } from '../../schemas/names.ts';
import type { KeptMessage } from '../signing/check-event.ts';
import type { Trust } from '../signing/trust.ts';
import { directGet } from './direct-get.ts';
import { followStream, keptIn } from './follow-stream.ts';
import type { KnownMessage } from './known-messages.ts';
import { eventStream } from './provision.ts';

/** The messages of a log that say something of one iteration. */
export interface LogPart {
  /** In the log's order; not checked yet. */
  messages: KnownMessage[];
  /** The log's last sequence, up to which they were read. */
  lastSequence: number;
}

/** A message of the part. It was not checked before. */
const unchecked = (message: KeptMessage): KnownMessage => ({
  ...message,
  seq: 0,
  hash: sha256(message.bytes),
});

/** The board of the first start that can be read, whoever wrote it. */
const boardIn = (messages: readonly KnownMessage[]): string | undefined => {
  const start = messages.find(({ subject }) => parseSubject(subject)?.type === 'IterationStarted');
  try {
    const { data } = JSON.parse(Buffer.from(start?.bytes ?? '').toString()) as {
      data: { plan: { board: string } };
    };
    return data.plan.board;
  } catch {
    return undefined; // it is refused when it is checked
  }
};

/**
 * Reads what a log holds of one iteration: the iteration's own messages, those that change keys or the epoch or acknowledge what is refused, and the last
 * start of its board. The server finds them by their subjects, so it takes as long in a long log as in a short one.
 * @throws what the server answers, or that it does not.
 */
export const readPart = async (
  connection: NatsConnection,
  { fleet, writers }: Trust,
  iteration: string,
  lastSequence: number,
): Promise<LogPart> => {
  const matching = async (filter: string): Promise<KnownMessage[]> => {
    const found: KnownMessage[] = [];
    await followStream(
      connection,
      { stream: eventStream, filter, from: 1, whilePending: true },
      async (message) => {
        found.push(unchecked(keptIn(message)));
        return 'more';
      },
    );
    return found;
  };
  // Of what is rare one question tells that there is none; a consumer takes four.
  const rare = async (type: string): Promise<KnownMessage[]> => {
    const filter = `ka.${fleet}.*.${noIteration}.${type}.>`;
    return (await directGet(connection, { subject: filter })) ? matching(filter) : [];
  };
  const own = IterationName.safeParse(iteration).success ? matching(`ka.${fleet}.*.${iteration}.>`) : [];
  const [ofIteration = [], ...others] = await Promise.all([
    own,
    ...['KeyRotated', 'KeyRevoked', 'LogRestored', 'RefusalAcknowledged'].map(rare),
  ]);
  const board = boardIn(ofIteration);
  const started =
    board !== undefined && writers.has(board)
      ? await directGet(connection, { subject: `ka.${fleet}.${board}.${noIteration}.AgentStarted.>` })
      : undefined;
  const messages = [...ofIteration, ...others.flat(), ...(started ? [unchecked(started)] : [])]
    .filter(({ sequence }) => sequence <= lastSequence)
    .sort((a, b) => a.sequence - b.sequence);
  return { messages, lastSequence };
};
