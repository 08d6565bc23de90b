import type { LogConnection } from '../../eventlog/connection/connect.ts';
import { checkMessage, signatureHeader } from '../../eventlog/signing/check-event.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { directGet } from '../../eventlog/stream/direct-get.ts';
import { lastSequenceFor } from '../../eventlog/stream/log-end.ts';
import { type NewEvent, noIteration, subjectOf } from '../../schemas/events.ts';
import { JournalContradicted } from './errors.ts';
import type { LogPlace, OutboxEvent } from './journal/own-events.ts';
import type { ConnectionWatch } from './watch-connection.ts';

/** What a host may ask the log: after its own events, and after where its requests are. */
export interface HostLog {
  /** The last one of a subject. @throws {JournalContradicted} if it is no event of this host. */
  read(subject: string): Promise<(OutboxEvent & LogPlace) | undefined>;
  /** The last of all. */
  newest(): Promise<(OutboxEvent & LogPlace) | undefined>;
  /** The last start of this host's agent. */
  newestStart(): Promise<(OutboxEvent & LogPlace) | undefined>;
  /** The last rotation of this host's key. */
  newestRotation(): Promise<(OutboxEvent & LogPlace) | undefined>;
  /** The sequence of the log's last event, whoever's it is. */
  lastSequence(): Promise<number>;
  subject(event: Pick<NewEvent, 'iteration' | 'type' | 'attempt'>): string;
  /** A subject of this host's own that nothing is ever said under. */
  readonly subjectOfNothing: string;
  /** {@link startsOf} */
  readonly startPrefix: string;
}

/** What the subject of each `AgentStarted` of a host begins with; the number of the start follows. */
export const startsOf = (fleet: string, host: string): string =>
  `ka.${fleet}.${host}.${noIteration}.AgentStarted.`;

/** The same for each `KeyRotated`. */
export const rotationsOf = (fleet: string, host: string): string =>
  `ka.${fleet}.${host}.${noIteration}.KeyRotated.`;

/** @param trust whom the host trusts, itself included. */
export const createHostLog = (
  connection: LogConnection,
  { answer }: Pick<ConnectionWatch, 'answer'>,
  { fleet, host, trust }: { fleet: string; host: string; trust: Trust },
): HostLog => {
  const startPrefix = startsOf(fleet, host);
  const subjectOfNothing = `ka.${fleet}.${host}.${noIteration}.Nothing.0`;
  const read: HostLog['read'] = async (subject) => {
    const stored = await answer(directGet(connection, { subject }));
    if (!stored) return undefined;
    const { sequence, bytes, headers } = stored;
    const checked = checkMessage(trust, { subject: stored.subject, data: bytes, headers }, sequence);
    if ('refused' in checked)
      throw new JournalContradicted(
        `the log's ${stored.subject} (sequence ${sequence}) is not ${host}'s: ${checked.refused.why}`,
      );
    const seq = checked.logged.event.writerseq;
    return { seq, subject: stored.subject, bytes, signature: headers.get(signatureHeader), sequence };
  };
  return {
    read,
    // A direct get takes a wildcard for the subject, and gives the last of all that match.
    newest: () => read(`ka.${fleet}.${host}.>`),
    newestStart: () => read(`${startPrefix}*`),
    newestRotation: () => read(`${rotationsOf(fleet, host)}*`),
    lastSequence: () => answer(lastSequenceFor(connection, subjectOfNothing)),
    subject: (event) => subjectOf(fleet, host, event),
    subjectOfNothing,
    startPrefix,
  };
};
