import type { DaemonKey } from '../../eventlog/signing/daemon-key.ts';
import { rotation } from '../../eventlog/signing/key-history.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import { type NewEvent, noIteration, parseEvent } from '../../schemas/events.ts';
import type { OwnEvents } from './journal/own-events.ts';
import { rotationsOf } from './own-log.ts';

/** Decides which of its keys a host signs with. */
export interface OwnSigning {
  /**
   * The key that signs the next event in the journal: the former key up to and including the rotation, the new one
   * after it. An event that is journalled again is signed again.
   */
  keyFor(event: NewEvent): WriterKey;
  /** The rotation that the host has to write before it may sign with its new key; undefined if there is none. */
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
