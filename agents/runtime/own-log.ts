import type { ReadBlob } from '../../eventlog/stream/blobs.ts';
import type { BlobMarker } from '../../schemas/blob-marker.ts';
import { noIteration, subjectOf, type UntypedEvent } from '../../schemas/events.ts';
import { JournalContradicted } from './errors.ts';
import type { LogPlace } from './journal/log-place.ts';
import type { OutboxEvent } from './journal/own-events.ts';
import type { CheckMessage, HostLog } from './ports.ts';

/** An own event that is in the log. */
export type SentEvent = OutboxEvent & LogPlace;

/** What the log holds of this host's own. */
export interface OwnLog extends Pick<HostLog, 'holdsBlob' | 'putBlob'> {
  /** Something that an own event has put aside. */
  readBlob(marker: BlobMarker): Promise<ReadBlob>;
  /** The last one of a subject. @throws {JournalContradicted} if it is no event of this host. */
  read(subject: string): Promise<SentEvent | undefined>;
  /** The last of all. */
  newest(): Promise<SentEvent | undefined>;
  /** The last start of this host's agent. */
  newestStart(): Promise<SentEvent | undefined>;
  /** The last rotation of this host's key. */
  newestRotation(): Promise<SentEvent | undefined>;
  /** The sequence of the log's last event, whoever's it is. */
  lastSequence(): Promise<number>;
  subject(event: Pick<UntypedEvent, 'iteration' | 'type' | 'attempt'>): string;
  /** {@link startsOf} */
  readonly startPrefix: string;
}

/** What the subject of each `AgentStarted` of a host begins with; the number of the start follows. */
export const startsOf = (fleet: string, host: string): string =>
  `ka.${fleet}.${host}.${noIteration}.AgentStarted.`;

/** The same for each `KeyRotated`. */
export const rotationsOf = (fleet: string, host: string): string =>
  `ka.${fleet}.${host}.${noIteration}.KeyRotated.`;

/** A subject of a host's own that nothing is ever said under. */
export const subjectOfNothing = (fleet: string, host: string): string =>
  `ka.${fleet}.${host}.${noIteration}.Nothing.0`;

/** @param check by whom the host trusts, itself included, whatever became of its keys since. */
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
