import { type Envelope, subjectOf, type UntypedEvent } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import { payloadTypes, type WriterKey } from './writer-key.ts';

/** An event as it goes to the log: its exact bytes, the subject that names the fact, the writer's signature. */
export interface SealedEvent {
  subject: string;
  bytes: Uint8Array;
  signature: string;
  seq: number;
}

/** The most bytes of one event: nats-server takes 1 MiB by default, headers included. */
export const largestEventBytes = 1_000_000;

/** An event that the log would never take. */
export class EventTooLarge extends Error {
  override readonly name = 'EventTooLarge';
}

/**
 * Makes an event of a writer's own, of whatever type: counts it, links it to the writer's previous one, and signs it.
 * @param last the writer's last event, or undefined for its first.
 * @param time for people; RFC 3339.
 * @throws {EventTooLarge} since the log's server would refuse it for ever, with all that comes after it.
 */
export const sealEvent = (
  event: UntypedEvent,
  writer: { fleet: string; name: string; key: WriterKey; epoch?: number },
  last: { seq: number; hash: string } | undefined,
  time: string,
): SealedEvent => {
  const envelope: Envelope = {
    specversion: '1.0',
    id: `${event.iteration}.${event.type}.${event.attempt}`,
    source: writer.name,
    type: event.type,
    subject: event.iteration,
    fleet: writer.fleet,
    time,
    iteration: event.iteration,
    attempt: event.attempt,
    ...(writer.epoch === undefined || writer.epoch < 2 ? {} : { epoch: writer.epoch }),
    ...(event.causationid === undefined ? {} : { causationid: event.causationid }),
    writerseq: (last?.seq ?? 0) + 1,
    ...(last === undefined ? {} : { prevhash: last.hash }),
    data: event.data,
  };
  const bytes = new TextEncoder().encode(JSON.stringify(envelope));
  if (bytes.length > largestEventBytes)
    throw new EventTooLarge(
      `${event.type} of ${event.iteration} has ${bytes.length} bytes, the log takes at most ${largestEventBytes}`,
    );
  return {
    subject: subjectOf(writer.fleet, writer.name, event),
    bytes,
    signature: writer.key.sign(payloadTypes.event, bytes),
    seq: envelope.writerseq,
  };
};

/** The link to an event that its writer's next one carries. */
export const linkTo = (seq: number, bytes: Uint8Array) => ({ seq, hash: sha256(bytes) });
