import { largestBlobsBytes } from '../../schemas/blob-marker.ts';
import { type Envelope, noIteration, subjectOf, type UntypedEvent } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import { type Blob, putAside } from './put-aside.ts';
import { payloadTypes, type WriterKey } from './writer-key.ts';

/**
 * An event as it goes to the log: its exact bytes, the subject that names the fact, the writer's signature, and the
 * blobs that it has put aside, which go to the log before it.
 */
export interface SealedEvent {
  subject: string;
  bytes: Uint8Array;
  signature: string;
  seq: number;
  blobs: readonly Blob[];
}

/** The size limit of one event: nats-server accepts 1 MiB by default, headers included. */
const largestEventBytes = 1_000_000;
/** An event that is longer puts its largest values aside. */
const longEventBytes = 256 * 1024;

/** An event that the log would never accept. */
export class EventTooLarge extends Error {
  override readonly name = 'EventTooLarge';
}

/** An event's bytes as they are signed. They name by its hash what is put aside. */
const encodeEnvelope = (envelope: Envelope): { bytes: Uint8Array; blobs: readonly Blob[] } => {
  const encode = (of: Envelope) => new TextEncoder().encode(JSON.stringify(of));
  const { type, iteration, data } = envelope;
  const whole = encode(envelope);
  if (whole.length <= longEventBytes) return { bytes: whole, blobs: [] };
  // An event of the whole fleet has to be readable without any blobs.
  const small = iteration === noIteration ? { data, blobs: [] } : putAside(data, longEventBytes);
  const bytes = small && encode({ ...envelope, data: small.data });
  if (bytes && bytes.length <= largestEventBytes) return { bytes, blobs: small.blobs };
  throw new EventTooLarge(
    `${type} of ${iteration} has ${whole.length} bytes, and more of it can't be put aside: the log takes at most ${largestEventBytes}, and ${largestBlobsBytes} beside it`,
  );
};

/**
 * Makes an event of a writer, of any type: counts it, links it to the writer's previous one, and signs it. Data that
 * already names blobs stays as it is.
 * @param writer `restored`: the event that began the epoch, for a host that has to be shown it.
 * @param last the writer's last event, or undefined for its first.
 * @param time for people; RFC 3339.
 * @throws {EventTooLarge} because the log's server would refuse it for ever, and with it every later event of this
 * writer.
 */
export const sealEvent = (
  event: UntypedEvent,
  writer: { fleet: string; name: string; key: WriterKey; epoch?: number; restored?: SignedEvent | undefined },
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
    ...(writer.restored === undefined ? {} : { restored: writer.restored }),
    ...(event.causationid === undefined ? {} : { causationid: event.causationid }),
    writerseq: (last?.seq ?? 0) + 1,
    ...(last === undefined ? {} : { prevhash: last.hash }),
    data: event.data,
  };
  const { bytes, blobs } = encodeEnvelope(envelope);
  return {
    subject: subjectOf(writer.fleet, writer.name, event),
    bytes,
    signature: writer.key.sign(payloadTypes.event, bytes),
    seq: envelope.writerseq,
    blobs,
  };
};

/** The link to an event, for its writer's next event. */
export const linkTo = (seq: number, bytes: Uint8Array) => ({ seq, hash: sha256(bytes) });
