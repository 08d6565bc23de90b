import { headers, type NatsConnection, NatsError } from 'nats';
import { type BlobLookup, type BlobMarker, blobsNamedBy, isBlob } from '../../schemas/blob-marker.ts';
import { parseSubject } from '../../schemas/events.ts';
import type { LogLimits } from '../../schemas/log-limits.ts';
import { type KeptMessage, signatureHeader } from '../signing/check-event.ts';
import { BlobFault, isNobodyThere, putBlob, type ReadBlob, readBlob } from './blobs.ts';
import { directGet } from './direct-get.ts';
import {
  closedTo,
  eventStream,
  eventStreamConfig,
  logInfo,
  logManager,
  openTo,
  provisionBesideLog,
  provisionBlobs,
} from './provision.ts';

const streamInfo = async (connection: NatsConnection) => logInfo(await logManager(connection));

/** Every message that the log holds, even if the log is not whole; undefined if there is no log. */
export const readWholeLog = async (connection: NatsConnection): Promise<KeptMessage[] | undefined> => {
  const messages: KeptMessage[] = [];
  // Messages that arrive during the reading are read too, until no more arrive.
  for (let seq = 1; ; ) {
    const info = await streamInfo(connection);
    if (!info) return undefined;
    if (seq > info.state.last_seq) return messages;
    for (; seq <= info.state.last_seq; seq += 1) {
      const found = await directGet(connection, { seq });
      if (found) messages.push(found);
    }
  }
};

/** A log that accepts nothing from anybody, so that nothing is lost between reading and replacing it. */
export interface ClosedLog {
  /** Lets the log listen to its former subjects again. @returns false if this log is gone because it was replaced. */
  reopen(): Promise<boolean>;
}

/**
 * Closes the log to all writers. Needs the administrator's rights. As long as it stays closed, everybody who appends or
 * reads learns that it is being restored.
 * @returns undefined if there is no log.
 */
export const closeLog = async (admin: NatsConnection, fleet: string): Promise<ClosedLog | undefined> => {
  const before = await streamInfo(admin);
  if (!before) return undefined;
  const manager = await logManager(admin);
  await manager.streams.update(eventStream, { subjects: closedTo(fleet) });
  return {
    reopen: async () => {
      // A log that was made since then is another one, and not whole.
      if ((await streamInfo(admin))?.created !== before.created) return false;
      await manager.streams.update(eventStream, { subjects: before.config.subjects });
      return true;
    },
  };
};

/** A blob of an event that is missing beside the log. */
export interface MissingBlob extends BlobMarker {
  /** The event that names it, and its writer. */
  subject: string;
  writer: string;
  /** Undefined if nobody has it. */
  bytes: Uint8Array | undefined;
}

/** A server without a stream for blobs lacks them all. */
const noStream = (error: unknown): ReadBlob => {
  if (isNobodyThere(error)) return { lacks: 'nats-server holds no stream for blobs' };
  throw error;
};

/**
 * The blobs of these events that are missing beside the log, or have wrong bytes there.
 * @param find returns the bytes with a hash, if somebody still has them.
 */
export async function* missingBlobs(
  connection: NatsConnection,
  fleet: string,
  messages: readonly Pick<KeptMessage, 'subject' | 'bytes'>[],
  find: BlobLookup,
): AsyncGenerator<MissingBlob> {
  for (const { subject, bytes: event } of messages)
    for (const marker of blobsNamedBy(event)) {
      const writer = parseSubject(subject)?.writer ?? '';
      const there = await readBlob(connection, { fleet, writer }, marker).catch(noStream);
      if ('bytes' in there) continue;
      const bytes = find(marker.sha256);
      yield { ...marker, subject, writer, bytes: bytes && isBlob(marker, bytes) ? bytes : undefined };
    }
}

/** A blob of a restored log's events that nobody could supply. */
export interface LostBlob extends Pick<MissingBlob, 'subject' | 'sha256'> {
  why: string;
}

/**
 * Puts back the blobs of events that their log has lost, never had, or has with wrong bytes. Needs the administrator's
 * rights.
 * @param find returns the bytes with a hash, if somebody still has them.
 * @returns the blobs that can't be put back: their events are there, but not whole.
 */
export const putBlobsBack = async (
  admin: NatsConnection,
  { fleet, limits }: { fleet: string; limits: LogLimits },
  messages: readonly Pick<KeptMessage, 'subject' | 'bytes'>[],
  find: BlobLookup,
): Promise<LostBlob[]> => {
  await provisionBlobs(await logManager(admin), fleet, limits);
  const lost: LostBlob[] = [];
  for await (const { subject, writer, sha256, bytes } of missingBlobs(admin, fleet, messages, find))
    try {
      if (bytes) await putBlob(admin, { fleet, writer }, { sha256, bytes }, 'replace');
      else lost.push({ subject, sha256, why: 'nobody has it' });
    } catch (error) {
      if (!(error instanceof BlobFault)) throw error;
      lost.push({ subject, sha256, why: error.message });
    }
  return lost;
};

/**
 * Replaces the log by these messages, in this order: their sequences count from 1. Needs the administrator's rights. A
 * log that is there is closed first, by {@link closeLog}. The fleet may run in the meantime: the new log listens to one
 * subject at a time, the next message's own, so that nobody's message gets between two of them. Only when each message
 * was found there does the log listen to the fleet. If this is killed in between, everybody can see that the log is not
 * whole, and this may be run again.
 * @throws {Error} if a message is not there afterwards as it was appended; the log is then left closed.
 */
export const rebuildLog = async (
  admin: NatsConnection,
  { fleet, hosts, limits }: { fleet: string; hosts: readonly string[]; limits: LogLimits },
  messages: readonly Omit<KeptMessage, 'sequence'>[],
): Promise<void> => {
  const manager = await logManager(admin);
  const jetstream = admin.jetstream();
  if (await streamInfo(admin)) await manager.streams.delete(eventStream);
  const isAt = async (sequence: number, bytes: Uint8Array) => {
    const found = await directGet(admin, { seq: sequence });
    return found !== undefined && Buffer.compare(found.bytes, bytes) === 0;
  };
  for (const [index, { subject, bytes, signature }] of messages.entries()) {
    if (index === 0) await manager.streams.add(eventStreamConfig([subject], limits));
    else await manager.streams.update(eventStream, { subjects: [subject] });
    const head = headers();
    head.set(signatureHeader, signature);
    try {
      await jetstream.publish(subject, bytes, {
        headers: head,
        expect: { lastSequence: index, lastSubjectSequence: 0 },
      });
    } catch (error) {
      // Its own writer may have appended the same message first.
      if (!(error instanceof NatsError) || !(await isAt(index + 1, bytes))) throw error;
    }
  }
  for (const [index, { subject, bytes }] of messages.entries())
    if (!(await isAt(index + 1, bytes)))
      throw new Error(
        `the log holds another message at sequence ${index + 1} than ${subject}; it stays closed`,
      );
  if (messages.length === 0) await manager.streams.add(eventStreamConfig(openTo(fleet), limits));
  else await manager.streams.update(eventStream, { subjects: openTo(fleet) });
  await provisionBesideLog(manager, fleet, hosts, limits);
};
