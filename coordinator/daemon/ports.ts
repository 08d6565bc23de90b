import type { Acknowledged } from '../../eventlog/grouped-alarms.ts';
import type { Presence, RefusedPresence } from '../../eventlog/live/presence.ts';
import type { KeptMessage, RefusedMessage } from '../../eventlog/signing/check-event.ts';
import type { Blob } from '../../eventlog/signing/put-aside.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import type { BlobStore } from '../../eventlog/stream/blob-reader.ts';
import type { DurablePosition } from '../../eventlog/stream/durables.ts';
import type { Again, Appended } from '../../eventlog/stream/event-log.ts';
import type { KnownMessage } from '../../eventlog/stream/known-messages.ts';
import type { BlobMarker } from '../../schemas/blob-marker.ts';
import type { LoggedEvent } from '../../schemas/events.ts';

/** The callbacks of the log that the coordinator follows. */
export interface FollowReports {
  signal: AbortSignal;
  /** Every message, before it is checked. @param left at least so many follow it in the log now. */
  onMessage: (message: KeptMessage, left: number) => void;
  onRefused: (refused: RefusedMessage) => void;
  onAlarm: (alarm: RefusedMessage) => void;
  /** A person has acknowledged a message that was refused, or has raised an alarm. */
  onAcknowledged: (one: Acknowledged) => void;
  /** An event's blobs can't be read, for this reason: the event is passed on as an unknown one. */
  onLack: (logged: LoggedEvent, why: string) => void;
  /**
   * The log no longer holds messages that it delivered, or the blobs that an event lacked are there now. The log now
   * ends at `lastSequence` and is delivered again from the start.
   */
  onCut: (lastSequence: number, why: Again) => void;
  /** The messages that are known already: they are delivered first. */
  known: () => Iterable<KnownMessage>;
  /** The log still holds what was delivered last. Until then, what is `known` may be another log's. */
  onHeld: () => void;
  onTrouble: (error: unknown) => void;
  /** The local store of the events' blobs. */
  blobs: BlobStore;
}

/** The log as the coordinator needs it. */
export interface CoordinatorLog {
  /** @throws if the log does not answer. */
  lastSequence(): Promise<number>;
  follow(reports: FollowReports, onEvent: (logged: LoggedEvent) => void): Promise<void>;
  /** Appends an event if the log's last sequence is still this one. @throws {AppendConflict} */
  append(sealed: SealedEvent, expectedLast: number): Promise<Appended>;
  /** Whether the log still holds a blob of the coordinator's own events. */
  holdsBlob(marker: BlobMarker): Promise<boolean>;
  /** Puts a blob back. @throws {BlobFault} if that is impossible. */
  putBlob(blob: Blob): Promise<void>;
  /** The clock of the log's server. */
  serverTime(): Promise<Date>;
  /**
   * Listens to the hosts' presences. What is no host's word goes to `onRefused`.
   * @returns a function that ends it.
   */
  hear(onPresence: (presence: Presence) => void, onRefused: (refused: RefusedPresence) => void): () => void;
  /** Whether the connection was closed for good. */
  isClosed(): boolean;
}

/** The hosts' durable consumers. */
export interface Durables {
  /** The position of a host's durable; undefined if the durable is gone. */
  position(host: string): Promise<DurablePosition | undefined>;
  /** The first sequence after this one that holds a message for the host. */
  nextFor(host: string, after: number): Promise<number | undefined>;
  /** Makes a host's durable again, so that it redelivers the host's messages from a sequence on. */
  remake(host: string, from: number): Promise<void>;
  /** Turns an error of these functions into a sentence with the next thing to do. */
  explain(error: unknown): Promise<unknown>;
}

/** A clock that only runs forward, and stands still while the log's server is away. Milliseconds. */
export interface Clock {
  now(): number;
  /** Milliseconds since 1970 by this machine's own clock, which people set. Only for times that people read. */
  wallClock(): number;
  /** Whether the clock runs. */
  runs(): boolean;
  /** How often the server was lost so far. */
  losses(): number;
  /** Calls back periodically. @returns a function that ends it. */
  every(ms: number, call: () => void): () => void;
  /** @throws the signal's reason, once it fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  stop(): void;
}

/** Everything outside of itself that the coordinator's loop uses. */
export interface CoordinatorPorts {
  log: CoordinatorLog;
  durables: Durables;
  clock: Clock;
  /** Writes a line to the daemon's own log. */
  say: (text: string) => void;
  /** A place where a test may end this process. */
  failpoint: (name: string) => void;
}
