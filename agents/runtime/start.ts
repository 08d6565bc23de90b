import type { EventData } from '../../schemas/events.ts';
import { noIteration } from '../../schemas/events.ts';
import { lastStart } from './compare-with-log.ts';
import type { Journal } from './journal/journal.ts';
import type { Outbox } from './outbox.ts';
import { startsOf } from './own-log.ts';
import type { OwnSigning } from './own-signing.ts';

/** An agent's start, and the event that reports it. */
export interface Start {
  /** Whether this process has reported it. */
  isTold(): boolean;
  /** Reports the start once. If a rotation to a new key is due, that comes first. */
  tell(): void;
}

export const createStart = ({
  fleet,
  host,
  journal,
  outbox,
  signing,
  started,
}: {
  fleet: string;
  host: string;
  journal: Journal;
  outbox: Pick<Outbox, 'put'>;
  signing: Pick<OwnSigning, 'owed'>;
  /** The data of an `AgentStarted`. */
  started: EventData['AgentStarted'];
}): Start => {
  let isTold = false;
  return {
    isTold: () => isTold,
    tell() {
      if (isTold) return;
      const rotation = signing.owed();
      if (rotation) outbox.put(rotation);
      outbox.put({
        type: 'AgentStarted',
        iteration: noIteration,
        attempt: lastStart(journal, startsOf(fleet, host)) + 1,
        data: started,
      });
      isTold = true;
    },
  };
};
