import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import type { BlobSource } from '../../eventlog/stream/blobs.ts';
import { isWithheld, LogTree, type WithheldMessage } from '../../eventlog/tree/log-tree.ts';
import { blobsNamedBy } from '../../schemas/blob-marker.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { noIteration, parseSubject } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import { evolve } from '../decider/evolve.ts';
import { type Iteration, initialState, type LogPlace, type Starts } from '../decider/state.ts';
import { closeDocument } from '../reading/close-document.ts';
import { refusalWords } from '../reading/english/refusals.ts';
import { Refused } from '../refused.ts';
import {
  blobMember,
  eventsMember,
  type LogHeader,
  type LogRecord,
  writeEventRecords,
} from './event-records.ts';
import type { ArchivePart } from './export-archive.ts';
import { junitOf } from './junit.ts';
import { kcidbOf } from './kcidb.ts';
import { ktapOf } from './ktap.ts';

const part = (name: string, text: string): ArchivePart => ({ name, bytes: Buffer.from(text, 'utf8') });
const json = (document: unknown): string => `${JSON.stringify(document, null, 2)}\n`;

/** What an export shows: an iteration, or a start that was refused and so never became one. */
export type Exported = Iteration | { name: string; refused: NonNullable<Starts['refused']> };

/** The place of its end in the log; undefined while it is under way. */
const endOf = (exported: Exported): LogPlace | undefined =>
  'refused' in exported ? exported.refused : exported.ended;

/** The first checkpoint that covers the end of what is exported. */
const headerOver = (
  fleet: string,
  exported: Exported,
  messages: readonly KeptMessage[],
  events: readonly LoggedEvent[],
): LogHeader => {
  const tree = new LogTree();
  for (const message of messages) tree.add(message);
  const isOver = (size: number, root: string) =>
    size <= tree.size && Buffer.from(tree.rootAt(size)).toString('base64') === root;
  const { name } = exported;
  const ended = endOf(exported);
  if (!ended)
    throw new Refused(`${name} is under way: it can be exported once it has ended; see: ka status ${name}`);
  for (const { event } of events)
    if (event.kind === 'fleet' && event.type === 'Checkpointed' && event.data.size >= ended.sequence) {
      const { size, root, note } = event.data;
      // A checkpoint from before the log was restored covers another order.
      if (!isOver(size, root)) continue;
      return { fleet, epoch: event.epoch ?? 1, size, note };
    }
  const what = 'refused' in exported ? 'refusal' : 'end';
  throw new Refused(
    `no checkpoint covers the ${what} of ${name} yet, at sequence ${ended.sequence}: the coordinator signs one as soon as it runs and has heard of a host; see: ka doctor`,
  );
};

const withheld = ({ sequence, subject, signature, bytes }: KeptMessage): WithheldMessage => ({
  sequence,
  subject,
  signature,
  sha256: sha256(bytes),
});

/** A member of an export that follows from its events. */
export interface DerivedPart extends ArchivePart {
  /** Its text without the English. These facts have to follow from the events, whichever version wrote the words. */
  facts(text: string): string;
}

const allOfIt = (text: string): string => text;
const noneOfIt = (): string => '';
/** What KTAP has after `ok` and `not ok`, without diagnostics and reasons. */
const ktapFacts = (text: string): string =>
  text.replaceAll(/^ *#.*\n/gm, '').replaceAll(/ # (ERROR MISS:|ERROR|SKIP) .*$/gm, ' # $1');
const junitFacts = (text: string): string => text.replaceAll(/ message="[^"]*"/g, '');
/** Builds and tests have their reasons as a `comment` of their own, which is on a line of its own. */
const kcidbFacts = (text: string): string => text.replaceAll(/^ {6}"comment": .*\n/gm, '');

const derived = (name: string, text: string, facts: DerivedPart['facts']): DerivedPart => ({
  ...part(name, text),
  facts,
});

/** The attestations that the hosts signed in an iteration, as DSSE envelopes. */
const attestations = (name: string, events: readonly LoggedEvent[]): DerivedPart[] =>
  events.flatMap(({ event }) => {
    if (event.kind !== 'step' || event.iteration !== name) return [];
    const data = event.data as { attestation?: unknown; evidence?: { attestation?: unknown } };
    const attestation = data.evidence?.attestation ?? data.attestation;
    if (typeof attestation !== 'object' || attestation === null) return [];
    const file = `attestations/${event.step}.${event.attempt}.${event.source}.dsse.json`;
    return [derived(file, json(attestation), allOfIt)];
  });

/** The report on a start that was refused. */
const refusalReport = (name: string, { title, by, started, time, reason }: NonNullable<Starts['refused']>) =>
  `# ${name}: ${title}\n\nAsked for by ${by} at ${started.time}, refused at ${time}: ${refusalWords(name, reason)}.\n`;

/** The members that follow from the events of an export: anybody who has the events can make the same bytes. */
export const derivedParts = (
  fleet: string,
  exported: Exported,
  events: readonly LoggedEvent[],
  note: string,
): DerivedPart[] => {
  const checkpoint = derived('checkpoint.txt', note, allOfIt);
  if ('refused' in exported)
    return [checkpoint, derived('report.md', refusalReport(exported.name, exported.refused), noneOfIt)];
  return [
    checkpoint,
    derived('report.md', closeDocument(exported), noneOfIt),
    derived('sweep.ktap', ktapOf(exported), ktapFacts),
    derived('sweep.junit.xml', junitOf(exported), junitFacts),
    derived('presweep.ktap', ktapOf(exported, 'presweep'), ktapFacts),
    derived('presweep.junit.xml', junitOf(exported, 'presweep'), junitFacts),
    derived('kcidb.json', json(kcidbOf(exported, fleet)), kcidbFacts),
    ...attestations(exported.name, events),
  ];
};

/** The iteration of that name in these events, or the start that was refused. */
export const exportedAt = (events: readonly LoggedEvent[], name: string): Exported | undefined => {
  const { iterations, starts } = events.reduce(evolve, initialState);
  const refused = starts.get(name)?.refused;
  return iterations.get(name) ?? (refused && { name, refused });
};

/**
 * The blobs of the events that are shown whole.
 * @throws {Refused} if one is missing: an export without it would prove nothing about that event.
 */
const blobParts = async (records: readonly LogRecord[], readBlob: BlobSource): Promise<ArchivePart[]> => {
  const parts = new Map<string, ArchivePart>();
  for (const record of records) {
    if (isWithheld(record)) continue;
    const writer = parseSubject(record.subject)?.writer ?? '';
    for (const marker of blobsNamedBy(record.bytes)) {
      const name = blobMember(marker.sha256);
      if (parts.has(name)) continue;
      const read = await readBlob(writer, marker);
      if ('lacks' in read)
        throw new Refused(
          `blob ${marker.sha256} of ${record.subject} can't be read, ${read.lacks}: nothing was exported; next: ka audit --verify`,
        );
      parts.set(name, { name, bytes: read.bytes });
    }
  }
  return [...parts.values()];
};

/**
 * An iteration, or a start that was refused, as one archive: the log up to the first checkpoint that covers its end,
 * with the messages of other iterations only as hashes, and the members that follow from it.
 * @param messages the whole log. @param events those messages that are events. @param readBlob reads their blobs.
 * @throws {Refused} if it has not ended, no checkpoint covers its end, or a blob is missing.
 */
export const exportIteration = async (
  fleet: string,
  name: string,
  messages: readonly KeptMessage[],
  events: readonly LoggedEvent[],
  readBlob: BlobSource,
): Promise<ArchivePart[]> => {
  const exported = exportedAt(events, name);
  if (!exported) throw new Refused(`there is no iteration "${name}"`);
  const header = headerOver(fleet, exported, messages, events);
  const records = messages.slice(0, header.size).map((message): LogRecord => {
    const of = parseSubject(message.subject)?.iteration;
    return of === name || of === noIteration ? message : withheld(message);
  });
  const covered = events.filter(({ sequence }) => sequence <= header.size);
  const then = exportedAt(covered, name) ?? exported;
  return [
    part(eventsMember, [...writeEventRecords(header, records)].join('')),
    ...derivedParts(fleet, then, covered, header.note),
    ...(await blobParts(records, readBlob)),
  ];
};
