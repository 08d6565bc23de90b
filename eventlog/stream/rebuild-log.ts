import { headers, type NatsConnection, NatsError } from 'nats';
import { type BlobLookup, type BlobMarker, blobsNamedBy, isBlob } from '../../schemas/blob-marker.ts';
import { parseSubject } from '../../schemas/events.ts';
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

/** Every message that the log holds, also where it is not whole; undefined if there is no log. */
export const readWholeLog = async (connection: NatsConnection): Promise<KeptMessage[] | undefined> => {
  const messages: KeptMessage[] = [];
  // What came while it was read is read too, until nothing comes any more.
  for (let seq = 1; ; ) {
    const info = await streamInfo(connection);
    if (!info) return undefined;
    if (seq > info.state.last_seq) return messages;
    for (; seq <= info.state.last_seq; seq += 1) {
      const found = await directGet(connection, { seq });
      if (!found) continue;
      const { sequence, subject, bytes } = found;
      messages.push({ sequence, subject, bytes, signature: found.headers.get(signatureHeader) });
    }
  }
};

/** A log that takes nothing from anybody, so that nothing is lost between its being read and its being replaced. */
export interface ClosedLog {
  /** Lets it listen to what it listened to before. @returns false if it is not there any more: it was replaced. */
  reopen(): Promise<boolean>;
}

/**
 * Closes the log to all writers. Needs the administrator's rights. Who appends is told that it is being restored, and so is
 * everybody for as long as it stays closed.
 * @returns undefined if there is no log.
 */
export const closeLog = async (admin: NatsConnection, fleet: string): Promise<ClosedLog | undefined> => {
  const before = await streamInfo(admin);
  if (!before) return undefined;
  const manager = await logManager(admin);
  await manager.streams.update(eventStream, { subjects: closedTo(fleet) });
  return {
    reopen: async () => {
      // One that was made since is another log, and not whole.
      if ((await streamInfo(admin))?.created !== before.created) return false;
      await manager.streams.update(eventStream, { subjects: before.config.subjects });
      return true;
    },
  };
};

/** Something that an event has put aside, and that is not beside the log. */
export interface MissingBlob extends BlobMarker {
  /** The event that names it, and its writer. */
  subject: string;
  writer: string;
  /** Undefined if nobody has it. */
  bytes: Uint8Array | undefined;
}

/** A server without a stream for blobs has none of them. */
const noStream = (error: unknown): ReadBlob => {
  if (isNobodyThere(error)) return { lacks: 'nats-server holds no stream for blobs' };
  throw error;
};

/**
 * Goes through what these events have put aside and is missing beside the log, or is not what its name says.
 * @param find the bytes of that hash, from whoever still has them.
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

/** What of a restored log's events is not to be had. */
export interface LostBlob extends Pick<MissingBlob, 'subject' | 'sha256'> {
  why: string;
}

/**
 * Puts back what events have put aside, and their log has lost or never had, or has wrong. Needs the administrator's rights.
 * @param find the bytes of that hash, from whoever still has them.
 * @returns what can't be put back: its events are there, and are not whole.
 */
export const putBlobsBack = async (
  admin: NatsConnection,
  fleet: string,
  messages: readonly Pick<KeptMessage, 'subject' | 'bytes'>[],
  find: BlobLookup,
): Promise<LostBlob[]> => {
  await provisionBlobs(await logManager(admin), fleet);
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
 * Replaces the log by these messages, in this order: their sequences count from 1. Needs the administrator's rights. A log
 * that is there is closed first, by {@link closeLog}. The fleet may run meanwhile: the new log listens to one subject at a
 * time, the next message's own, so that nobody's message gets between two of them. Only when each was found there does it
 * listen to the fleet. Killed in between, it leaves a log that everybody knows for not whole, and may be run again.
 * @throws {Error} if a message is not there afterwards as it was appended; the log is then left closed.
 */
export const rebuildLog = async (
  admin: NatsConnection,
  { fleet, hosts }: { fleet: string; hosts: readonly string[] },
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
    if (index === 0) await manager.streams.add(eventStreamConfig([subject]));
    else await manager.streams.update(eventStream, { subjects: [subject] });
    const head = headers();
    head.set(signatureHeader, signature);
    try {
      await jetstream.publish(subject, bytes, {
        headers: head,
        expect: { lastSequence: index, lastSubjectSequence: 0 },
      });
    } catch (error) {
      // Its own writer may have been there first, with the same.
      if (!(error instanceof NatsError) || !(await isAt(index + 1, bytes))) throw error;
    }
  }
  for (const [index, { subject, bytes }] of messages.entries())
    if (!(await isAt(index + 1, bytes)))
      throw new Error(
        `the log holds another message at sequence ${index + 1} than ${subject}; it stays closed`,
      );
  if (messages.length === 0) await manager.streams.add(eventStreamConfig(openTo(fleet)));
  else await manager.streams.update(eventStream, { subjects: openTo(fleet) });
  await provisionBesideLog(manager, fleet, hosts);
};
