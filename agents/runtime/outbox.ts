import type { NatsConnection } from 'nats';
import { AppendConflict, appendEvent } from '../../eventlog/event-log.ts';
import { linkTo, sealEvent } from '../../eventlog/seal.ts';
import type { WriterKey } from '../../eventlog/writer-key.ts';
import type { NewEvent } from '../../schemas/events.ts';
import type { Journal, NotedRequest } from './journal.ts';

/** A host's own events on their way to the log: in the journal first, in the log as soon as it can be reached. */
export interface Outbox {
  /** Journals an event, together with the end of the request that it answers. */
  put(event: NewEvent, answers?: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>): void;
  /** Sends what is waiting, in order, until there is nothing more or the log does not answer. */
  drain(): Promise<void>;
  waiting(): number;
  /** The count of this host's next event. */
  nextSeq(): number;
}

export const createOutbox = (
  journal: Journal,
  connection: NatsConnection,
  writer: { fleet: string; name: string; key: WriterKey },
  onConflict: (conflict: AppendConflict) => void,
): Outbox => {
  let draining: Promise<void> | undefined;
  const last = () => {
    const written = journal.lastWritten();
    return written && linkTo(written.seq, written.bytes);
  };
  const drain = async () => {
    for (const event of journal.unsent()) {
      try {
        await appendEvent(connection, event);
      } catch (error) {
        if (error instanceof AppendConflict) onConflict(error);
        return; // unanswered: the next drain offers it again, and what was there already answers `there`
      }
      journal.markSent(event.seq);
    }
  };
  const outbox: Outbox = {
    put(event, answers) {
      journal.noteOutcome(sealEvent(event, writer, last(), new Date().toISOString()), answers);
      void outbox.drain();
    },
    drain() {
      draining ??= (async () => {
        let before: number;
        do {
          before = outbox.waiting();
          await drain();
        } while (outbox.waiting() > 0 && outbox.waiting() !== before);
      })().finally(() => {
        draining = undefined;
      });
      return draining;
    },
    waiting: () => journal.unsent().length,
    nextSeq: () => (journal.lastWritten()?.seq ?? 0) + 1,
  };
  return outbox;
};
