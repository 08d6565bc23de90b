import type { LogConnection } from '../../eventlog/connect.ts';
import { AppendConflict, appendEvent } from '../../eventlog/event-log.ts';
import { linkTo, sealEvent } from '../../eventlog/seal.ts';
import type { WriterKey } from '../../eventlog/writer-key.ts';
import type { NewEvent } from '../../schemas/events.ts';
import type { Journal, NotedRequest } from './journal.ts';

/** A host's own events on their way to the log: in the journal first, in the log as soon as it can be reached. */
export interface Outbox {
  /**
   * Journals an event, together with the end of the request that it answers.
   * @throws {EventTooLarge} and nothing is journalled.
   */
  put(event: NewEvent, answers?: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>): void;
  /** Sends what is waiting, in order, until there is nothing more or the log does not take it. Never rejects. */
  drain(): Promise<void>;
  /** How many events are not in the log yet. */
  waiting(): number;
  /** The count of this host's next event. */
  nextSeq(): number;
}

/**
 * @param connected the connection, once there is one.
 * @param onTrouble told once of each event that can't be sent, and why; a log that does not answer is none.
 */
export const createOutbox = (
  journal: Journal,
  connected: () => LogConnection | undefined,
  writer: { fleet: string; name: string; key: WriterKey },
  onTrouble: (what: string) => void,
): Outbox => {
  let draining: Promise<void> | undefined;
  let told: string | undefined;
  const tell = (what: string) => {
    if (what !== told) onTrouble(what);
    told = what;
  };
  const last = () => {
    const written = journal.lastWritten();
    return written && linkTo(written.seq, written.bytes);
  };
  const send = async (connection: LogConnection) => {
    try {
      for (let event = journal.nextUnsent(); event; event = journal.nextUnsent()) {
        await appendEvent(connection, event);
        // A crash here sends it again, and what is there already answers `there`.
        if (connection.isClosed()) return; // the agent ends, and its journal may be closed
        journal.markSent(event.seq);
      }
      told = undefined;
    } catch (error) {
      if (connection.isClosed() || connection.isDraining()) return;
      if (error instanceof AppendConflict)
        tell(`${error.message}. The journal is an old copy, or another agent uses this host's key`);
      else tell(`nothing can be sent: ${error instanceof Error ? error.message : error}`);
    }
  };
  const outbox: Outbox = {
    put(event, answers) {
      journal.noteOutcome(sealEvent(event, writer, last(), new Date().toISOString()), answers);
      void outbox.drain();
    },
    drain() {
      const connection = connected();
      if (!connection || connection.isClosed()) return Promise.resolve();
      draining ??= send(connection).finally(() => {
        draining = undefined;
      });
      return draining;
    },
    waiting: () => journal.unsent(),
    nextSeq: () => (journal.lastWritten()?.seq ?? 0) + 1,
  };
  return outbox;
};
