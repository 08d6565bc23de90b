import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { LogTree, type WithheldMessage } from '../../eventlog/tree/log-tree.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { noIteration, parseSubject } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import { evolve } from '../decider/evolve.ts';
import { type Iteration, initialState } from '../decider/state.ts';
import { closeDocument } from '../reading/close-document.ts';
import { Refused } from '../refused.ts';
import { type LogHeader, type LogRecord, writeEventRecords } from './event-records.ts';
import type { ArchivePart } from './export-archive.ts';
import { junitOf } from './junit.ts';
import { kcidbOf } from './kcidb.ts';
import { ktapOf } from './ktap.ts';

/** The member of an export that everything else in it follows from. */
export const eventsMember = 'events.jsonl';

const part = (name: string, text: string): ArchivePart => ({ name, bytes: Buffer.from(text, 'utf8') });
const json = (document: unknown): string => `${JSON.stringify(document, null, 2)}\n`;

/** The first checkpoint over the end of an iteration. */
const headerOver = (
  fleet: string,
  iteration: Iteration,
  messages: readonly KeptMessage[],
  events: readonly LoggedEvent[],
): LogHeader => {
  const tree = new LogTree();
  for (const message of messages) tree.add(message);
  const isOver = (size: number, root: string) =>
    size <= tree.size && Buffer.from(tree.rootAt(size)).toString('base64') === root;
  const { name, ended } = iteration;
  if (!ended)
    throw new Refused(`${name} is under way: it can be exported once it has ended; see: ka status ${name}`);
  for (const { event } of events)
    if (event.kind === 'fleet' && event.type === 'Checkpointed' && event.data.size >= ended.sequence) {
      const { size, root, note } = event.data;
      // One from before the log was restored is over another order.
      if (!isOver(size, root)) continue;
      return { fleet, epoch: event.epoch ?? 1, size, note };
    }
  throw new Refused(
    `no checkpoint covers the end of ${name} yet, at sequence ${ended.sequence}: the coordinator signs one as soon as it runs; see: ka doctor`,
  );
};

const withheld = ({ sequence, subject, signature, bytes }: KeptMessage): WithheldMessage => ({
  sequence,
  subject,
  signature,
  sha256: sha256(bytes),
});

/** The attestations that the hosts signed in an iteration, as DSSE envelopes. */
const attestations = (name: string, events: readonly LoggedEvent[]): ArchivePart[] =>
  events.flatMap(({ event }) => {
    if (event.kind !== 'step' || event.iteration !== name) return [];
    const data = event.data as { attestation?: unknown; evidence?: { attestation?: unknown } };
    const attestation = data.evidence?.attestation ?? data.attestation;
    if (typeof attestation !== 'object' || attestation === null) return [];
    return [part(`attestations/${event.step}.${event.attempt}.${event.source}.dsse.json`, json(attestation))];
  });

/** What follows from the events of an export: whoever has them makes the same. */
export const derivedParts = (
  fleet: string,
  iteration: Iteration,
  events: readonly LoggedEvent[],
  note: string,
): ArchivePart[] => [
  part('checkpoint.txt', note),
  part('report.md', closeDocument(iteration)),
  part('sweep.ktap', ktapOf(iteration)),
  part('sweep.junit.xml', junitOf(iteration)),
  part('presweep.ktap', ktapOf(iteration, 'presweep')),
  part('presweep.junit.xml', junitOf(iteration, 'presweep')),
  part('kcidb.json', json(kcidbOf(iteration, fleet))),
  ...attestations(iteration.name, events),
];

/** An iteration as it was at the end of these events. */
export const iterationAt = (events: readonly LoggedEvent[], name: string): Iteration | undefined =>
  events.reduce(evolve, initialState).iterations.get(name);

/**
 * An iteration as one archive: the log up to the first checkpoint over its end, with other iterations' messages as their
 * hashes alone, and what follows from it.
 * @param messages the whole log. @param events those of them that are events.
 * @throws {Refused} if it has not ended, or no checkpoint covers its end.
 */
export const exportIteration = (
  fleet: string,
  name: string,
  messages: readonly KeptMessage[],
  events: readonly LoggedEvent[],
): ArchivePart[] => {
  const iteration = iterationAt(events, name);
  if (!iteration) throw new Refused(`there is no iteration "${name}"`);
  const header = headerOver(fleet, iteration, messages, events);
  const records = messages.slice(0, header.size).map((message): LogRecord => {
    const of = parseSubject(message.subject)?.iteration;
    return of === name || of === noIteration ? message : withheld(message);
  });
  const covered = events.filter(({ sequence }) => sequence <= header.size);
  const then = iterationAt(covered, name) ?? iteration;
  return [
    part(eventsMember, [...writeEventRecords(header, records)].join('')),
    ...derivedParts(fleet, then, covered, header.note),
  ];
};
