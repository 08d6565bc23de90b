import { acknowledgedBy, acknowledgedHash } from '../../eventlog/signing/acknowledgement.ts';
import type { KeptMessage, RefusedMessage } from '../../eventlog/signing/check-event.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { createVerifier } from '../../eventlog/signing/verifier.ts';
import { createBlobReader, createBlobStore } from '../../eventlog/stream/blob-reader.ts';
import type { BlobSource } from '../../eventlog/stream/blobs.ts';
import { isWithheld } from '../../eventlog/tree/log-tree.ts';
import { largestBlobBytes } from '../../schemas/blob-marker.ts';
import { type LoggedEvent, parseSubject } from '../../schemas/events.ts';
import { Refused } from '../refused.ts';
import {
  type BadRecord,
  blobMember,
  eventsMember,
  isBad,
  type LogHeader,
  type LogRecord,
  readEventRecords,
} from './event-records.ts';
import { readArchive } from './read-archive.ts';

export const largestMemberBytes = 512 * 1024 * 1024;

/** The part of the log that an export holds. Nothing is checked yet. */
export interface ReadExport {
  header: LogHeader | BadRecord;
  records: (LogRecord | BadRecord)[];
  /** The messages that are shown whole. */
  shown: KeptMessage[];
  /** The iterations of which it holds only hashes. */
  withheld: ReadonlySet<string>;
  readBlob: BlobSource;
}

/** @throws {ArchiveFault} @throws {Refused} if the archive is no export of an iteration. */
export const readExport = async (file: string): Promise<ReadExport> => {
  const bytes = await readArchive(file, eventsMember, { limitBytes: largestMemberBytes });
  if (!bytes) throw new Refused(`${file} holds no ${eventsMember}: it is no export of an iteration`);
  const { header, records } = readEventRecords(bytes);
  const all = [...records];
  const good = all.flatMap((one) => (isBad(one) ? [] : [one]));
  return {
    header,
    records: all,
    shown: good.flatMap((one) => (isWithheld(one) ? [] : [one])),
    withheld: withheldIn(good),
    readBlob: async (_, { sha256 }) => {
      const held = await readArchive(file, blobMember(sha256), { limitBytes: largestBlobBytes });
      return held ? { bytes: held } : { lacks: `${file} does not hold it` };
    },
  };
};

/** The iterations of which only hashes are shown. */
export const withheldIn = (records: readonly (LogRecord | BadRecord)[]): ReadonlySet<string> =>
  new Set(
    records.flatMap((one) =>
      isBad(one) || !isWithheld(one) ? [] : (parseSubject(one.subject)?.iteration ?? []),
    ),
  );

/** The events of an export, each with its blobs, and the messages that are no events and that nobody has acknowledged. */
export const eventsOf = async (
  trust: Trust,
  { shown, readBlob }: Pick<ReadExport, 'shown' | 'readBlob'>,
): Promise<{ events: LoggedEvent[]; refused: RefusedMessage[] }> => {
  const verifier = createVerifier(trust);
  const reader = createBlobReader(readBlob, createBlobStore());
  const events: LoggedEvent[] = [];
  const refused: RefusedMessage[] = [];
  for (const message of shown) {
    const verified = verifier.verify(message);
    const read = 'refused' in verified ? verified : await reader.complete(verified.logged);
    if ('refused' in read) refused.push(read.refused);
    else events.push(read.logged);
  }
  const acknowledged = new Map(
    events.flatMap(({ event }) => acknowledgedBy(event)).map((one) => [one.sequence, one.sha256]),
  );
  const isOpen = ({ sequence }: RefusedMessage) => {
    const message = shown.find((one) => one.sequence === sequence);
    return !message || acknowledged.get(sequence) !== acknowledgedHash(message);
  };
  return { events, refused: refused.filter(isOpen) };
};
