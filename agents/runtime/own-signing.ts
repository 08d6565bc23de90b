import type { DaemonKey } from '../../eventlog/signing/daemon-key.ts';
import { rotation } from '../../eventlog/signing/key-history.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import { type NewEvent, noIteration, parseEvent } from '../../schemas/events.ts';
import type { OwnEvents } from './journal/own-events.ts';
import { rotationsOf } from './own-log.ts';

/** Which of its keys a host signs with. */
export interface OwnSigning {
  /**
   * The key that an event is signed with where the journal goes on now: the former one up to and with the rotation, the new
   * one after it. What is journalled anew is signed anew.
   */
  keyFor(event: NewEvent): WriterKey;
  /** What the host has to say before it may sign with the key that it has. */
  owed(): NewEvent | undefined;
}

export const createOwnSigning = (
  journal: { outbox: Pick<OwnEvents, 'highestOf' | 'under'> },
  { fleet, host, key, former }: { fleet: string; host: string } & DaemonKey,
): OwnSigning => {
  const prefix = rotationsOf(fleet, host);
  const hasRotated = () => {
    const last = journal.outbox.under(`${prefix}${journal.outbox.highestOf(prefix)}`);
    const event = last && parseEvent(last.bytes);
    return event?.kind === 'fleet' && event.type === 'KeyRotated' && event.data.publicKey === key.publicKey;
  };
  return {
    keyFor: ({ type }) => (former && (type === 'KeyRotated' || !hasRotated()) ? former : key),
    owed: () =>
      former && !hasRotated()
        ? {
            type: 'KeyRotated',
            iteration: noIteration,
            attempt: journal.outbox.highestOf(prefix) + 1,
            data: rotation(fleet, host, former.publicKey, key),
          }
        : undefined,
  };
};
