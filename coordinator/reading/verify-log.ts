import { acknowledgedBy } from '../../eventlog/signing/acknowledgement.ts';
import {
  completeEvent,
  type HasSigned,
  type KeptMessage,
  lacksOf,
  type RefusedMessage,
} from '../../eventlog/signing/check-event.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { createVerifier, type Verifier } from '../../eventlog/signing/verifier.ts';
import { isSignedBy, isSignedByInPool, payloadTypes } from '../../eventlog/signing/writer-key.ts';
import type { BlobSource } from '../../eventlog/stream/blobs.ts';
import { logOrigin, openCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import { isWithheld, LogTree, type WithheldMessage } from '../../eventlog/tree/log-tree.ts';
import type { TreeHead } from '../../eventlog/tree/merkle-tree.ts';
import { type BlobLookup, type BlobMarker, blobsNamedBy } from '../../schemas/blob-marker.ts';
import { coordinator, type LoggedEvent, noIteration, parseSubject } from '../../schemas/events.ts';
import { type BadRecord, isBad, type LogHeader, type LogRecord } from '../export/event-records.ts';
import { type CheckpointFlaw, CheckpointTrail } from './checkpoint-trail.ts';

/** A fault in a log. Its sequence is 0 if it is in the header of an export. */
export type LogFlaw = CheckpointFlaw &
  Partial<Pick<RefusedMessage, 'subject' | 'cause'>> & {
    /** The message that shows it, if it is not the one at its place. */
    shownBy?: number;
  };

/** A fault of a message that a person has acknowledged. */
export type AcknowledgedFlaw = LogFlaw & { by: string; because: string };

export interface VerifiedLog {
  /** The number of good events that are shown whole. */
  events: number;
  /** The number of checkpoints that agree with the log, including the one in an export's header. */
  checkpoints: number;
  /** The iterations with a message that is shown only as a hash, which proves nothing about them. */
  withheld: string[];
  /** Ordered by place: the first bad event comes first. */
  faults: LogFlaw[];
  /** What would be a fault if nobody had acknowledged it. */
  acknowledged: AcknowledgedFlaw[];
}

/** All messages from the log's first one on, in its order: from an export, or as the log holds them now. */
export interface LogSource {
  /** The header, if this is an export. */
  header?: LogHeader | BadRecord;
  records: Iterable<LogRecord | BadRecord>;
}

/** The faults of an event's blobs. */
const asideFaults = (logged: LoggedEvent, blobs: BlobLookup): string[] => {
  const completed = completeEvent(logged, blobs);
  if ('refused' in completed) return [completed.refused.why];
  return lacksOf(completed.logged).map(
    ({ sha256, sizeBytes }) =>
      `it names blob ${sha256} of ${sizeBytes} bytes, which is not there, or is not what that says`,
  );
};

/**
 * Checks a whole log: each message is in its place and is an event of the writer that its subject names, of a type that
 * this writer may write; each writer's events follow from one another; and the messages are those that the checkpoints,
 * in the log and in the header of an export, were signed over.
 */
export class LogCheck {
  readonly #trust: Trust;
  readonly #verifier: Verifier;
  readonly #trail: CheckpointTrail;
  readonly #tree = new LogTree();
  readonly #faults: LogFlaw[] = [];
  readonly #withheld = new Set<string>();
  readonly #acknowledged = new Map<number, ReturnType<typeof acknowledgedBy>>();
  #epoch = 1;
  #events = 0;
  /** The sequence that is expected next. */
  #next = 1;
  #lastIsStray = false;

  /** @param trust the reader's own trust, never one that came with the log. */
  constructor(trust: Trust) {
    this.#trust = trust;
    this.#verifier = createVerifier(trust);
    this.#trail = new CheckpointTrail(trust.fleet);
  }

  /**
   * Checks in other threads whether the message is signed with the key that its writer has now. A rotation before it may
   * come in between: for any other key the result has the check itself.
   */
  async signatureOf({ subject, bytes, signature }: KeptMessage): Promise<HasSigned | undefined> {
    const key = this.#verifier.keyOf(parseSubject(subject)?.writer ?? '');
    if (key === null) return undefined;
    const isGood = await isSignedByInPool(key, payloadTypes.event, bytes, signature);
    return (asked) => (asked === key ? isGood : isSignedBy(asked, payloadTypes.event, bytes, signature));
  }

  /** Takes the next message. @param blobs its blobs, as far as they are there. @param hasSigned see `checkEvent`. */
  add(record: LogRecord | BadRecord, blobs: BlobLookup = () => undefined, hasSigned?: HasSigned): void {
    if (isBad(record)) {
      this.#faults.push({ sequence: this.#next, why: record.why });
      this.#next += 1;
      return;
    }
    const { sequence, subject } = record;
    const next = this.#next;
    const isStray = sequence < next;
    if (isStray && !this.#lastIsStray)
      this.#faults.push({
        sequence: next,
        subject,
        why: `the message of sequence ${sequence} stands here, where that of ${next} or the end is expected`,
      });
    this.#lastIsStray = isStray;
    // Its place is reported already; that its chain does not fit there adds nothing.
    if (isStray) return;
    if (sequence > next)
      this.#faults.push({
        sequence: next,
        why: `nothing is here from sequence ${next} to ${sequence - 1}: ${subject} of sequence ${sequence} comes next`,
      });
    this.#next = sequence + 1;
    if (this.#tree.size === sequence - 1) this.#tree.add(record);
    if (isWithheld(record)) this.#takeWithheld(record);
    else this.#take(record, blobs, hasSigned);
  }

  #takeWithheld(record: WithheldMessage): void {
    const { sequence, subject } = record;
    const iteration = parseSubject(subject)?.iteration ?? '';
    if (iteration === noIteration) {
      const why = 'it belongs to the whole fleet, and only its hash is here';
      this.#faults.push({ sequence, subject, why });
    }
    this.#withheld.add(iteration);
    const refused = this.#verifier.pass(record);
    if (refused) this.#faults.push(refused);
  }

  #take(message: KeptMessage, blobs: BlobLookup, hasSigned?: HasSigned): void {
    const { sequence, subject } = message;
    const verified = this.#verifier.verify(message, hasSigned);
    if ('refused' in verified) return void this.#faults.push(verified.refused);
    const { event } = verified.logged;
    for (const why of verified.faults) this.#faults.push({ sequence, subject, cause: 'chain', why });
    for (const one of acknowledgedBy(event))
      this.#acknowledged.set(one.sequence, [...(this.#acknowledged.get(one.sequence) ?? []), one]);
    const faults = asideFaults(verified.logged, blobs);
    this.#events += 1;
    if (event.kind === 'fleet' && event.type === 'LogRestored') this.#epoch = event.data.epoch;
    if (event.kind === 'fleet' && event.type === 'Checkpointed')
      faults.push(...this.#trail.add(event, sequence, this.#epoch, this.#coordinatorKeys()));
    for (const why of faults) this.#faults.push({ sequence, subject, why });
    if (verified.contradicts !== undefined)
      this.#faults.push({
        sequence: verified.contradicts,
        ...{ subject, cause: 'chain', shownBy: sequence },
        why: `the next event of ${event.source}, at sequence ${sequence}, follows another one than this`,
      });
  }

  /** Who has acknowledged the message that shows this fault, byte for byte. */
  #acknowledgementOf(flaw: LogFlaw): { by: string; because: string } | undefined {
    if (flaw.cause === undefined) return undefined;
    const sequence = flaw.shownBy ?? flaw.sequence;
    const leaf = this.#tree.leafAt(sequence - 1);
    const hash = leaf && Buffer.from(leaf).toString('hex');
    const found = this.#acknowledged.get(sequence)?.find(({ sha256 }) => sha256 === hash);
    return found && { by: found.by, because: found.why };
  }

  #coordinatorKeys(): string[] {
    const key = this.#verifier.keyOf(coordinator);
    return key === null ? [] : [key];
  }

  #takeHeader(header: LogHeader | BadRecord): void {
    const tell = (why: string) => this.#faults.push({ sequence: 0, why });
    if (isBad(header)) return void tell(header.why);
    const { fleet, epoch, size, note } = header;
    if (fleet !== this.#trust.fleet)
      return void tell(`it is a log of ${fleet}, expected ${this.#trust.fleet}`);
    if (epoch !== this.#epoch)
      return void tell(`it names epoch ${epoch} of the log, and the last events are of epoch ${this.#epoch}`);
    // The coordinator may have rotated its key between the last message and the note.
    const pinned = this.#trust.writers.get(coordinator)?.keys[0] ?? [];
    let head: TreeHead;
    try {
      head = openCheckpoint(note, logOrigin(fleet, epoch), this.#coordinatorKeys().concat(pinned));
    } catch (error) {
      return void tell(error instanceof Error ? error.message : String(error));
    }
    if (head.size !== size) return void tell(`it names ${size} messages, and its note is over ${head.size}`);
    this.#trail.addHeader(head, epoch);
    const last = this.#next - 1;
    if (last > size)
      this.#faults.push({
        sequence: size + 1,
        why: `the header's note ends before this, at sequence ${size}`,
      });
    if (last < size)
      this.#faults.push({
        sequence: last + 1,
        why: `the log ends before this, and the header's note is over ${size} messages`,
      });
  }

  /** The result, after the last message. @param header the header of an export. */
  end(header?: LogHeader | BadRecord): VerifiedLog {
    if (header !== undefined) this.#takeHeader(header);
    const { agreed, faults } = this.#trail.compare(this.#tree, this.#epoch);
    const acknowledged = this.#faults.flatMap((flaw): AcknowledgedFlaw[] => {
      const by = this.#acknowledgementOf(flaw);
      return by ? [{ ...flaw, ...by }] : [];
    });
    const open = this.#faults.filter((flaw) => this.#acknowledgementOf(flaw) === undefined);
    return {
      events: this.#events,
      checkpoints: agreed,
      withheld: [...this.#withheld].sort(),
      // A fault that is only known to lie in a range comes after the faults at known places in it.
      faults: [...open, ...faults].sort((a, b) => (a.until ?? a.sequence) - (b.until ?? b.sequence)),
      acknowledged,
    };
  }
}

/** The blobs that a message names, whoever wrote it; none if it names them wrongly, which its own check reports. */
const blobsIn = ({ bytes }: KeptMessage): BlobMarker[] => {
  try {
    return blobsNamedBy(bytes);
  } catch {
    return [];
  }
};

/**
 * Checks a complete log whose events have no blobs, as {@link LogCheck} does.
 * @param trust the reader's own trust, never one that came with the log.
 */
export const verifyLog = (trust: Trust, { header, records }: LogSource): VerifiedLog => {
  const check = new LogCheck(trust);
  for (const record of records) check.add(record);
  return check.end(header);
};

/** How many messages' signatures are checked at once, or wait for their turn. */
const aheadAtMost = 256;

/** A check of a log whose messages come one by one. */
export interface StreamedCheck {
  take(record: LogRecord | BadRecord): Promise<void>;
  /** @param header the header of an export. */
  end(header?: LogHeader | BadRecord): Promise<VerifiedLog>;
}

/**
 * Like {@link LogCheck}, with the blobs of the events, of which only those of one event are held at a time. Signatures are
 * checked on all cores; everything else goes on in the log's order.
 */
export const createStreamedCheck = (trust: Trust, read: BlobSource): StreamedCheck => {
  const check = new LogCheck(trust);
  const ahead: { record: LogRecord | BadRecord; signed: Promise<HasSigned | undefined> | undefined }[] = [];
  const takeNext = async () => {
    const next = ahead.shift();
    if (!next) return;
    const { record, signed } = next;
    if (isBad(record) || isWithheld(record)) return check.add(record);
    const blobs = new Map<string, Uint8Array>();
    // A message whose subject is not an event's is refused, whatever blobs it names.
    const writer = parseSubject(record.subject)?.writer;
    if (writer !== undefined)
      for (const marker of blobsIn(record)) {
        const found = await read(writer, marker);
        if ('bytes' in found) blobs.set(marker.sha256, found.bytes);
      }
    check.add(record, (sha256) => blobs.get(sha256), await signed);
  };
  return {
    async take(record) {
      const isWhole = !isBad(record) && !isWithheld(record);
      ahead.push({ record, signed: isWhole ? check.signatureOf(record) : undefined });
      if (ahead.length > aheadAtMost) await takeNext();
    },
    async end(header) {
      while (ahead.length > 0) await takeNext();
      return check.end(header);
    },
  };
};

/** Checks a complete log with its blobs, see {@link createStreamedCheck}. */
export const verifyWithBlobs = async (
  trust: Trust,
  { header, records }: LogSource,
  read: BlobSource,
): Promise<VerifiedLog> => {
  const check = createStreamedCheck(trust, read);
  for (const record of records) await check.take(record);
  return check.end(header);
};
