import { createSayOnce } from '../../eventlog/say-once.ts';
import { type NewEvent, subjectOf } from '../../schemas/events.ts';
import type { Journal } from './journal/journal.ts';
import type { Outbox } from './outbox.ts';

/** What a host tells of its own accord: once for each subject. */
export interface Reporting {
  /** What there is to report now; undefined if nothing, or if nobody can say. */
  find(): Promise<NewEvent | undefined>;
  /** Journals what was found, unless it is there. */
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
  /** Where the journal lacks something, the log may hold it already. */
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
        finding.trouble(error, 'what there is to report: ');
        return undefined;
      }
    },
    put(event) {
      try {
        if (event && !isHeld() && !journal.outbox.has(subjectOf(fleet, host, event))) outbox.put(event);
        journalling.over();
      } catch (error) {
        journalling.trouble(error, 'what there is to report is not journalled: '); // it is tried again
      }
    },
  };
};
