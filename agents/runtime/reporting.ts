import { createSayOnce } from '../../eventlog/say-once.ts';
import { type NewEvent, subjectOf } from '../../schemas/events.ts';
import type { Journal } from './journal/journal.ts';
import type { Outbox } from './outbox.ts';

/** What a host reports unasked, once for each subject. */
export interface Reporting {
  /** Returns what there is to report now; undefined if there is nothing, or if it can't be found out. */
  find(): Promise<NewEvent | undefined>;
  /** Journals what was found, unless it is already there. */
  put(event: NewEvent | undefined): void;
}

export const createReporting = ({
  fleet,
  host,
  journal,
  outbox,
  report,
  isHeld,
  say,
}: {
  fleet: string;
  host: string;
  journal: Journal;
  outbox: Pick<Outbox, 'put'>;
  report: () => Promise<NewEvent | undefined>;
  /** Whether the journal may lack something: then the log may hold the report already. */
  isHeld: () => boolean;
  say: (text: string) => void;
}): Reporting => {
  const finding = createSayOnce(say);
  const journalling = createSayOnce(say);
  return {
    async find() {
      try {
        const event = await report();
        finding.over();
        return event;
      } catch (error) {
        finding.trouble(error, "the report of this host can't be made: ");
        return undefined;
      }
    },
    put(event) {
      try {
        if (event && !isHeld() && !journal.outbox.has(subjectOf(fleet, host, event))) outbox.put(event);
        journalling.over();
      } catch (error) {
        journalling.trouble(error, 'the report of this host is not journalled: '); // it is tried again
      }
    },
  };
};
