import { once } from 'node:events';
import { connect } from 'node:net';
import { ErrorCode, type NatsConnection, NatsError, type StreamConfig } from 'nats';
import { eventStream, isOpenTo, streamNotFound } from './provision.ts';

/** The server is there, and the log is not as it should be. One sentence for a person, with the next thing to do. */
export class LogFault extends Error {
  override readonly name = 'LogFault';
}

/** A server that knows that it has no room, as newer ones do: for files, for anything. */
const noRoom: ReadonlySet<number | undefined> = new Set([10023, 10047, 10077]);
const answersWithinMs = 2_000;

const lost = new LogFault(
  'nats-server holds no log: its disk was lost, or the fleet was never set up; next: ka log restore',
);
const silent = new LogFault(
  "nats-server answers, but its log does not: the log's disk may be full; next: make room there, then restart nats-server",
);
export const beingRestored = new LogFault(
  'the log is being restored and not whole yet; if nobody is at it, next: ka log restore --write',
);

/**
 * Whether the server greets who comes anew. The connection that there is says nothing: a server whose log is stuck no
 * longer reads from those that speak to the log.
 */
const greets = async (connection: NatsConnection): Promise<boolean> => {
  const { hostname, port } = new URL(`nats://${connection.getServer()}`);
  const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 4222) });
  try {
    const [greeting] = await once(socket, 'data', { signal: AbortSignal.timeout(answersWithinMs) });
    return String(greeting).startsWith('INFO ');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
};

/** What is known of the stream, where JetStream tells. */
const askStream = async (connection: NatsConnection): Promise<LogFault | undefined> => {
  const reply = await connection.request(`$JS.API.STREAM.INFO.${eventStream}`, undefined, {
    timeout: answersWithinMs,
  });
  const { error, config } = reply.json<{ error?: { err_code?: number }; config?: StreamConfig }>();
  if (error?.err_code === streamNotFound) return lost;
  return config && !isOpenTo(config.subjects) ? beingRestored : undefined;
};

/**
 * What went wrong with the log, in words where they are known: it is gone, it is being restored, its disk is full, the
 * server is silent. Anything else comes back as it is.
 */
export const explainLogError = async (connection: NatsConnection, error: unknown): Promise<unknown> => {
  if (!(error instanceof NatsError) || connection.isClosed()) return error;
  const code = error.api_error?.err_code;
  if (code === streamNotFound) return lost;
  if (noRoom.has(code)) return silent;
  // Nobody listens to the subject, or nobody answers: as it is where a log is gone that has just been there.
  if (error.code !== ErrorCode.NoResponders && error.code !== ErrorCode.Timeout) return error;
  try {
    return (await askStream(connection)) ?? error;
  } catch (cause) {
    const server = `nats-server at ${connection.getServer()}`;
    if (cause instanceof NatsError && cause.code === ErrorCode.NoResponders)
      return new LogFault(`${server} has no JetStream, or not yet`, { cause });
    if (await greets(connection)) return silent;
    return new LogFault(`${server} does not answer`, { cause });
  }
};
