import type { EventData } from '../../schemas/events.ts';
import { noIteration } from '../../schemas/events.ts';
import { lastStart } from './compare-with-log.ts';
import type { Journal } from './journal/journal.ts';
import type { Outbox } from './outbox.ts';
import { startsOf } from './own-log.ts';
import type { OwnSigning } from './own-signing.ts';

/** An agent's start, as it tells the log of it. */
export interface Start {
  /** Whether this process has told it. */
  isTold(): boolean;
  /** Tells it, once, and before anything else what is owed to a new key. */
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
  /** What an `AgentStarted` says. */
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
