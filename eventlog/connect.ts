import { readFileSync } from 'node:fs';
import { connect, type NatsConnection, nkeyAuthenticator } from 'nats';

export interface NatsOptions {
  servers: string[];
  /** The file with the NKey seed to log in with. */
  seedFile: string;
  /** The writer's name: the connection carries it, and its inboxes, which nobody else may read. */
  name: string;
  /** Keep trying for ever, as a daemon does. Otherwise the first failure is the answer. */
  wait?: boolean;
}

/** The event log can't be reached. The message is one sentence for a person. */
export class LogUnreachable extends Error {
  override readonly name = 'LogUnreachable';
}

/**
 * Connects to the fleet's NATS server. Once connected it reconnects for ever, and a half-open connection is noticed
 * within 20 s (the client's own defaults give up after 20 s and notice after 6 minutes).
 * @throws {LogUnreachable}
 */
export const connectNats = async ({
  servers,
  seedFile,
  name,
  wait = false,
}: NatsOptions): Promise<NatsConnection> => {
  let seed: Uint8Array;
  try {
    seed = new TextEncoder().encode(readFileSync(seedFile, 'utf8').trim());
  } catch (cause) {
    throw new LogUnreachable(`the NATS seed file ${seedFile} can't be read`, { cause });
  }
  try {
    return await connect({
      servers,
      name,
      authenticator: nkeyAuthenticator(seed),
      inboxPrefix: `_INBOX_${name}`,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 500,
      pingInterval: 10_000,
      maxPingOut: 2,
      waitOnFirstConnect: wait,
      timeout: 5_000,
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LogUnreachable(`nats-server at ${servers.join(', ')} can't be reached: ${why}`, { cause });
  }
};
