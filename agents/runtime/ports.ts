import type { Checked, KeptMessage } from '../../eventlog/signing/check-event.ts';
import type { Blob } from '../../eventlog/signing/put-aside.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import type { ReadBlob } from '../../eventlog/stream/blobs.ts';
import type { Appended } from '../../eventlog/stream/event-log.ts';
import type { Run } from '../../host/run.ts';
import type { AttemptId } from '../../schemas/attempt-id.ts';
import type { BlobMarker } from '../../schemas/blob-marker.ts';

/*
 * What the agent's loops need from their surroundings. A process gives them NATS, the system's clock and its disk; the
 * simulation gives the same loops a simulated log, clock and world.
 */

/** Time as a loop sees it. */
export interface Clock {
  /**
   * Milliseconds since 1970 by the host's clock, which people set: for texts for people, and for times that outlive a
   * process.
   */
  now(): number;
  /** Milliseconds of a clock that only runs forward, even over a restart of the process, until the machine boots. */
  monotonicMs(): number;
  /** Resolves after that long, or as soon as the signal fires. Never rejects. */
  pause(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `what` once, after that long. @returns a function that cancels it. */
  after(ms: number, what: () => void): () => void;
  /** Calls `what` repeatedly. @returns a function that ends this. */
  every(ms: number, what: () => void): () => void;
}

/** A message that the host's durable consumer delivered. */
export interface HandedMessage extends KeptMessage {
  /** When the log's server stored it: milliseconds since 1970, by the server's clock. */
  storedAt?: number;
  /** Counts what the durable has delivered since it was made, from 1. */
  handed: number;
  /** How many more the durable has for the host now. */
  pending: number;
  /** The message is in the journal. @returns once the server has confirmed the ack. @throws if it does not answer. */
  ack(): Promise<void>;
  /** The message is never to be delivered again. */
  term(): void;
}

/** What a pull yields: a message, or the sign that there is nothing now. */
export type Handed = HandedMessage | 'nothing now';

/**
 * The log as a host may use it, over a connection that may be lost and made again. Pending calls reject when it is
 * lost.
 */
export interface HostLog {
  /** Whether the log can be reached, as far as is known. */
  isUp(): boolean;
  /** Whether the log can never be reached any more. */
  isClosed(): boolean;
  /** Calls `listen` each time that the connection was lost, or made again. */
  onChange(listen: () => void): void;
  /** The last message of a subject, or of all that a wildcard matches. */
  read(subject: string): Promise<KeptMessage | undefined>;
  /** The sequence of the log's last message, of any writer. */
  lastSequence(): Promise<number>;
  /** Appends an own event, if there is nothing under its subject. @throws {AppendConflict} if there is another fact. */
  append(sealed: SealedEvent): Promise<Appended>;
  /** Reads a blob of an event of that writer, which may be this host. */
  readBlob(writer: string, marker: BlobMarker): Promise<ReadBlob>;
  /** Whether a blob of an own event is still there. */
  holdsBlob(marker: BlobMarker): Promise<boolean>;
  /** Puts a blob of an own event there. @throws {BlobFault} if that can't be done. */
  putBlob(blob: Blob): Promise<void>;
  /**
   * Pulls from this host's durable consumer until the signal fires, or the connection is lost.
   * @throws if the durable no longer delivers.
   */
  pull(signal: AbortSignal): AsyncIterable<Handed>;
  /** Explains an error of the log, if its cause is known. */
  explain(error: unknown): Promise<unknown>;
}

/** Whether a message is an event of the writer that its subject names, by the keys that the host trusts. */
export type CheckMessage = (message: KeptMessage) => Checked;

/** Where a host's attempts work: their folders, and the programs that they run. */
export interface Workplace {
  /**
   * Makes an attempt's own folder, unless it is there already. @returns its path. @throws {NoRoom} if the disk is full.
   */
  makeFolder(attempt: AttemptId): string;
  /** Removes the folders of all attempts but these. */
  keepFolders(open: readonly AttemptId[]): Promise<void>;
  /** Whether the disk has enough room to go on. */
  hasRoom(): Promise<boolean>;
  /**
   * Makes a runner of programs that passes each line of output to `output`. @param onStarted called when a program has
   * started.
   */
  run(output: (line: string) => void, signal: AbortSignal, onStarted: () => void): Run;
}
