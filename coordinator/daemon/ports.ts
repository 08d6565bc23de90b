import type { Presence } from '../../eventlog/live/presence.ts';
import type { KeptMessage, RefusedMessage } from '../../eventlog/signing/check-event.ts';
import type { Blob } from '../../eventlog/signing/put-aside.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import type { BlobStore } from '../../eventlog/stream/blob-reader.ts';
import type { DurablePosition } from '../../eventlog/stream/durables.ts';
import type { Again, Appended } from '../../eventlog/stream/event-log.ts';
import type { BlobMarker } from '../../schemas/blob-marker.ts';
import type { LoggedEvent } from '../../schemas/events.ts';

/** What the coordinator is told while it follows the log. */
export interface FollowReports {
  signal: AbortSignal;
  /** Each message as it is, before anything is made of it. */
  onMessage: (message: KeptMessage) => void;
  onRefused: (refused: RefusedMessage) => void;
  onAlarm: (alarm: RefusedMessage) => void;
  /** An event has put something aside that can't be read, for this reason: it is handed on as an unknown one. */
  onLack: (logged: LoggedEvent, why: string) => void;
  /**
   * The log holds no longer what was handed over, or what an event lacked is there now: the log ends there, and all of it
   * comes anew.
   */
  onCut: (lastSequence: number, why: Again) => void;
  onTrouble: (error: unknown) => void;
  /** What is kept of what events have put aside. */
  blobs: BlobStore;
}

/** The log as the coordinator needs it. */
export interface CoordinatorLog {
  /** @throws if the log does not answer. */
  lastSequence(): Promise<number>;
  follow(reports: FollowReports, onEvent: (logged: LoggedEvent) => void): Promise<void>;
  /** Appends an event if the log's last sequence is still this one. @throws {AppendConflict} */
  append(sealed: SealedEvent, expectedLast: number): Promise<Appended>;
  /** Whether something that the coordinator's own events have put aside is still there. */
  holdsBlob(marker: BlobMarker): Promise<boolean>;
  /** Puts it there again. @throws {BlobFault} if it can't be. */
  putBlob(blob: Blob): Promise<void>;
  /** The clock of the log's server. */
  serverTime(): Promise<Date>;
  /** Hears what hosts say of themselves. @returns what ends it. */
  hear(onPresence: (presence: Presence) => void): () => void;
  /** Whether the connection was closed for good. */
  isClosed(): boolean;
}

/** The hosts' durable consumers. */
export interface Durables {
  /** Where a host's durable stands; undefined if it is gone. */
  position(host: string): Promise<DurablePosition | undefined>;
  /** The first sequence after this one that holds something for the host. */
  nextFor(host: string, after: number): Promise<number | undefined>;
  /** Makes a host's durable anew, to hand over again what is for it from a sequence on. */
  remake(host: string, from: number): Promise<void>;
  /** An error of these, as a sentence with what to do. */
  explain(error: unknown): Promise<unknown>;
}

/** A clock that only runs forward, and stands still while the log's server is away. Milliseconds. */
export interface Clock {
  now(): number;
  /** Milliseconds since 1970 by this machine's own clock, which people set: for what people read. */
  wallClock(): number;
  /** Whether it runs. */
  runs(): boolean;
  /** Calls back again and again. @returns what ends it. */
  every(ms: number, call: () => void): () => void;
  /** @throws the signal's reason, once it fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  stop(): void;
}

/** All of the world that the coordinator's loop touches. */
export interface CoordinatorPorts {
  log: CoordinatorLog;
  durables: Durables;
  clock: Clock;
  /** For the daemon's own log. */
  say: (text: string) => void;
  /** A place where a test may end this process. */
  failpoint: (name: string) => void;
}
