import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Authenticator,
  connect,
  ErrorCode,
  Events,
  type NatsConnection,
  NatsError,
  type QueuedIterator,
  type Status,
} from 'nats';
import { readKeyFile } from '../signing/key-file.ts';
import type { WriterKey } from '../signing/writer-key.ts';
import { inboxOf } from './inbox.ts';
import { needsTls } from './server-address.ts';

/** A connection to the fleet's NATS server, as the code outside this folder holds it. */
export type LogConnection = NatsConnection;

export interface NatsOptions {
  servers: string[];
  /**
   * For a server that is not on loopback: the certificates of the authorities that may vouch for it, PEM. Without it,
   * those that Node knows.
   */
  caFile?: string | undefined;
  /** The network to the server is inside one machine: only `tls://` requires TLS then. */
  withinOneMachine?: boolean | undefined;
  /** The key that the writer logs in with, an NKey seed. */
  keyFile: string;
  /** The writer's name. It names the connection and its inboxes, which nobody else may read. */
  name: string;
  /** Keep trying until `signal` fires, as a daemon does. Otherwise the first failure is thrown. */
  wait?: boolean;
  /** Called once for each reason while it keeps trying: only a person can fix a wrong address, certificate or key. */
  onTrouble?: (sentence: string) => void;
  signal?: AbortSignal;
}

/** The event log can't be reached. The message is one sentence for a person. */
export class LogUnreachable extends Error {
  override readonly name = 'LogUnreachable';
}

const againAfterMs = 500;

/** Logs in with a writer's key. The client's own authenticator computes the curve in JavaScript, which takes 20 ms. */
const authenticatorOf =
  (key: WriterKey): Authenticator =>
  (nonce = '') => ({
    nkey: key.publicKey,
    sig: Buffer.from(key.signRaw(Buffer.from(nonce))).toString('base64'),
  });

/**
 * Connects to the fleet's NATS server. Once connected it reconnects for ever, even if the server refuses the login for
 * a while, and it notices a half-open connection within 15 s: at the third ping, with two unanswered. (The client's own
 * defaults give up after 20 s or two refusals, and notice after 6 minutes.)
 * @throws {LogUnreachable} @throws the signal's reason, if it fires while waiting.
 */
export const connectNats = async ({
  servers,
  caFile,
  withinOneMachine = false,
  keyFile,
  name,
  wait = false,
  onTrouble,
  signal,
}: NatsOptions): Promise<NatsConnection> => {
  let key: WriterKey;
  try {
    key = readKeyFile(keyFile);
  } catch (cause) {
    throw new LogUnreachable(cause instanceof Error ? cause.message : String(cause), { cause });
  }
  const told = new Set<string>();
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await connect({
        servers,
        name,
        // Without this option the client believes a server that says it has no TLS.
        ...(needsTls(servers, withinOneMachine) ? { tls: caFile === undefined ? {} : { caFile } } : {}),
        authenticator: authenticatorOf(key),
        inboxPrefix: inboxOf(name),
        maxReconnectAttempts: -1,
        ignoreAuthErrorAbort: true,
        reconnectTimeWait: 500,
        pingInterval: 5_000,
        maxPingOut: 2,
        timeout: 5_000,
      });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const unreachable = `nats-server at ${servers.join(', ')} can't be reached: ${why}`;
      if (!wait) throw new LogUnreachable(unreachable, { cause });
      const isUnknownKey = cause instanceof NatsError && cause.code === ErrorCode.AuthorizationViolation;
      const sentence = isUnknownKey
        ? `nats-server at ${servers.join(', ')} does not know the key ${keyFile}: give it the fleet's users, ka fleet nats-config`
        : `${unreachable}; trying again`;
      if (!told.has(sentence)) onTrouble?.(sentence);
      told.add(sentence);
      // The client's own `waitOnFirstConnect` can't be stopped.
      await sleep(againAfterMs, undefined, signal && { signal });
    }
  }
};

/** A clock that only runs forward, and stands still while the connection to the server is lost. Milliseconds. */
export interface ConnectedClock {
  now(): number;
  /** Whether the server is connected, as far as is known. */
  runs(): boolean;
  /** How often the connection was lost so far. */
  losses(): number;
  stop(): void;
}

/**
 * Measures how long others have been silent or owe an answer. Time without a connection, in which nobody could hear
 * them, does not count.
 */
export const connectedClock = (connection: NatsConnection): ConnectedClock => {
  let lost = 0;
  let losses = 0;
  let stoodSince: number | undefined;
  const status = connection.status() as QueuedIterator<Status>;
  void (async () => {
    for await (const { type } of status)
      if (type === Events.Disconnect) {
        losses += 1;
        stoodSince ??= performance.now();
      } else if (type === Events.Reconnect && stoodSince !== undefined) {
        lost += performance.now() - stoodSince;
        stoodSince = undefined;
      }
  })();
  return {
    now: () => (stoodSince ?? performance.now()) - lost,
    runs: () => stoodSince === undefined,
    losses: () => losses,
    stop: () => status.stop(),
  };
};
