import type { Checked, KeptMessage } from '../../eventlog/signing/check-event.ts';
import type { Blob } from '../../eventlog/signing/put-aside.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import type { ReadBlob } from '../../eventlog/stream/blobs.ts';
import type { Appended } from '../../eventlog/stream/event-log.ts';
import type { Run } from '../../host/run.ts';
import type { AttemptId } from '../../schemas/attempt-id.ts';
import type { BlobMarker } from '../../schemas/blob-marker.ts';

/*
 * What the agent's loops ask of the world around them. A process gives them NATS, the system's clock and its disk; the
 * simulation gives the same loops a log, a clock and a world of its own.
 */

/** Time as a loop sees it. */
export interface Clock {
  /** Milliseconds since 1970 by the host's clock, which people set: for what people read, and for what outlives a process. */
  now(): number;
  /** Milliseconds of a clock that only runs forward: also over a restart of the process, until the machine boots. */
  monotonicMs(): number;
  /** Resolves after that long, or as soon as the signal fires. Never rejects. */
  pause(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `what` once, that much later. @returns the way to call it off. */
  after(ms: number, what: () => void): () => void;
  /** Calls `what` again and again. @returns the way to end it. */
  every(ms: number, what: () => void): () => void;
}

/** A message that the host's durable consumer handed over. */
export interface HandedMessage extends KeptMessage {
  /** Counts what the durable has handed over since it was made, from 1. */
  handed: number;
  /** How many more the durable has for the host now. */
  pending: number;
  /** It is in the journal. @returns once the server has heard it. @throws if it does not answer. */
  ack(): Promise<void>;
  /** It is never to be handed over again. */
  term(): void;
}

/** What a pull gives: a message, or word that there is nothing now. */
export type Handed = HandedMessage | 'nothing now';

/** The log as a host may use it, over a connection that comes and goes. What is asked rejects where the connection is lost. */
export interface HostLog {
  /** Whether the log can be reached, as far as is known. */
  isUp(): boolean;
  /** Whether it never can be any more. */
  isClosed(): boolean;
  /** `listen` is told each time that the connection was lost, or made again. */
  onChange(listen: () => void): void;
  /** The last message of a subject, or of all that a wildcard matches. */
  read(subject: string): Promise<KeptMessage | undefined>;
  /** The sequence of the log's last message, whoever's it is. */
  lastSequence(): Promise<number>;
  /** Appends an own event, if nothing stands under its subject. @throws {AppendConflict} if another fact does. */
  append(sealed: SealedEvent): Promise<Appended>;
  /** What an event of that writer, or of this host's own, has put aside. */
  readBlob(writer: string, marker: BlobMarker): Promise<ReadBlob>;
  /** Whether something that an own event has put aside is still there. */
  holdsBlob(marker: BlobMarker): Promise<boolean>;
  /** Puts it there again. @throws {BlobFault} if it can't be. */
  putBlob(blob: Blob): Promise<void>;
  /**
   * Pulls from this host's durable consumer until the signal fires, or the connection is lost.
   * @throws if the durable hands over nothing any more.
   */
  pull(signal: AbortSignal): AsyncIterable<Handed>;
  /** What an error of the log's means, in words where they are known. */
  explain(error: unknown): Promise<unknown>;
}

/** Whether a message is an event of the writer that its subject names, by the keys that the host trusts. */
export type CheckMessage = (message: KeptMessage) => Checked;

/** Where a host's attempts are at work: their folders, and the programs that they run. */
export interface Workplace {
  /** Makes an attempt's own folder, which may be there. @returns its path. @throws {NoRoom} if the disk is full. */
  makeFolder(attempt: AttemptId): string;
  /** Removes the folders of all attempts but these. */
  keepFolders(open: readonly AttemptId[]): Promise<void>;
  /** Whether the disk has room to go on with. */
  hasRoom(): Promise<boolean>;
  /** Runs programs, each line of whose output goes to `output`. @param onStarted told of each one's start. */
  run(output: (line: string) => void, signal: AbortSignal, onStarted: () => void): Run;
}
