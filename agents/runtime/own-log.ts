import type { ReadBlob } from '../../eventlog/stream/blobs.ts';
import type { BlobMarker } from '../../schemas/blob-marker.ts';
import { noIteration, subjectOf, type UntypedEvent } from '../../schemas/events.ts';
import { JournalContradicted } from './errors.ts';
import type { LogPlace } from './journal/log-place.ts';
import type { OutboxEvent } from './journal/own-events.ts';
import type { CheckMessage, HostLog } from './ports.ts';

/** An own event that is in the log. */
export type SentEvent = OutboxEvent & LogPlace;

/** What the log holds of this host's own events. */
export interface OwnLog extends Pick<HostLog, 'holdsBlob' | 'putBlob'> {
  /** Reads a blob of an own event. */
  readBlob(marker: BlobMarker): Promise<ReadBlob>;
  /** The last event under a subject. @throws {JournalContradicted} if it is not an event of this host. */
  read(subject: string): Promise<SentEvent | undefined>;
  /** The last own event of all. */
  newest(): Promise<SentEvent | undefined>;
  /** The last start of this host's agent. */
  newestStart(): Promise<SentEvent | undefined>;
  /** The last rotation of this host's key. */
  newestRotation(): Promise<SentEvent | undefined>;
  /** The sequence of the log's last event, of any writer. */
  lastSequence(): Promise<number>;
  subject(event: Pick<UntypedEvent, 'iteration' | 'type' | 'attempt'>): string;
  /** {@link startsOf} */
  readonly startPrefix: string;
}

/** The prefix of the subjects of a host's `AgentStarted` events; the number of the start follows. */
export const startsOf = (fleet: string, host: string): string =>
  `ka.${fleet}.${host}.${noIteration}.AgentStarted.`;

/** The same for each `KeyRotated`. */
export const rotationsOf = (fleet: string, host: string): string =>
  `ka.${fleet}.${host}.${noIteration}.KeyRotated.`;

/** A subject of the host under which nothing is ever written. */
export const subjectOfNothing = (fleet: string, host: string): string =>
  `ka.${fleet}.${host}.${noIteration}.Nothing.0`;

/** @param check checks by the keys that the host trusts, including all its own keys, even revoked ones. */
export const createOwnLog = (
  log: Pick<HostLog, 'read' | 'lastSequence' | 'readBlob' | 'holdsBlob' | 'putBlob'>,
  { fleet, host, check }: { fleet: string; host: string; check: CheckMessage },
): OwnLog => {
  const startPrefix = startsOf(fleet, host);
  const read: OwnLog['read'] = async (asked) => {
    const stored = await log.read(asked);
    if (!stored) return undefined;
    const { sequence, subject, bytes, signature } = stored;
    const checked = check(stored);
    if ('refused' in checked)
      throw new JournalContradicted(
        `the log's ${subject} (sequence ${sequence}) is not ${host}'s: ${checked.refused.why}`,
      );
    return { seq: checked.logged.event.writerseq, subject, bytes, signature, sequence };
  };
  return {
    read,
    newest: () => read(`ka.${fleet}.${host}.>`),
    newestStart: () => read(`${startPrefix}*`),
    newestRotation: () => read(`${rotationsOf(fleet, host)}*`),
    lastSequence: () => log.lastSequence(),
    readBlob: (marker) => log.readBlob(host, marker),
    holdsBlob: (marker) => log.holdsBlob(marker),
    putBlob: (blob) => log.putBlob(blob),
    subject: (event) => subjectOf(fleet, host, event),
    startPrefix,
  };
};
