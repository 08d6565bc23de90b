import { once } from 'node:events';
import { connect } from 'node:net';
import { ErrorCode, type NatsConnection, NatsError, type StreamConfig } from 'nats';
import { directGet } from './direct-get.ts';
import { lastSequenceFor } from './log-end.ts';
import { eventStream, isOpenTo, streamNotFound } from './provision.ts';

/**
 * The server is there, but the log is not as it should be. The message is one sentence for a person, with the next
 * thing to do.
 */
export class LogFault extends Error {
  override readonly name = 'LogFault';
}

/** The codes by which newer servers report that they have no room, for files or for anything. */
const noRoom: ReadonlySet<number | undefined> = new Set([10023, 10047]);
/** The stream holds as many bytes as it may. */
const streamFull = 10077;
const answersWithinMs = 2_000;

const lost = new LogFault(
  'nats-server holds no log: its disk was lost, or the fleet was never set up; next: ka log restore',
);
const full = new LogFault(
  "the log is full: it holds as many bytes as the fleet's file lets it, and drops nothing; next: see who has filled it (ka fleet), raise log.eventsBytes in the fleet's file, then: ka fleet make-log",
);
const silent = new LogFault(
  "nats-server answers, but its log does not: the log's disk may be full; next: make room there, then restart nats-server",
);
const mute = new LogFault(
  "nats-server answers, but the log does not: it may be gone, which the coordinator would report, or the log's disk may be full; next: make room there, then restart nats-server",
);
export const beingRestored = new LogFault(
  'the log is being restored and not whole yet; if nobody is restoring it, next: ka log restore --write',
);

/**
 * Whether the server greets a new connection. The existing connection proves nothing: a server whose log is stuck no
 * longer reads from clients that talk to the log.
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

const isSilence = (error: unknown): boolean =>
  error instanceof NatsError && (error.code === ErrorCode.NoResponders || error.code === ErrorCode.Timeout);

/** Asks JetStream about the stream. This needs a right that a host does not have. */
const askStream = async (connection: NatsConnection): Promise<LogFault | undefined> => {
  const reply = await connection.request(`$JS.API.STREAM.INFO.${eventStream}`, undefined, {
    timeout: answersWithinMs,
  });
  const { error, config } = reply.json<{ error?: { err_code?: number }; config?: StreamConfig }>();
  if (error?.err_code === streamNotFound) return lost;
  return config && !isOpenTo(config.subjects) ? beingRestored : undefined;
};

/**
 * What a writer can find out with only the right to its own subjects: a log that is being restored can be read, but
 * accepts nothing.
 */
const askAsWriter = async (connection: NatsConnection, subject: string): Promise<LogFault | undefined> => {
  await directGet(connection, { subject }, { timeout: answersWithinMs });
  try {
    await lastSequenceFor(connection, subject, answersWithinMs);
    return undefined;
  } catch (error) {
    if (isSilence(error)) return beingRestored;
    throw error;
  }
};

/**
 * Explains an error of the log where the cause is known: the log is gone, it is being restored, its disk is full, or
 * the server is silent. Any other error is returned as it is.
 * @param ownSubject one of the writer's own subjects, for writers that may not ask about the stream. A host gets no
 * answer from a log that is gone and none from one that is stuck, so it can't tell the two apart.
 */
export const explainLogError = async (
  connection: NatsConnection,
  error: unknown,
  ownSubject?: string,
): Promise<unknown> => {
  if (!(error instanceof NatsError) || connection.isClosed()) return error;
  const code = error.api_error?.err_code;
  if (code === streamNotFound) return lost;
  if (code === streamFull) return full;
  if (noRoom.has(code)) return silent;
  // Nobody listens to the subject, or nobody answers. This is also what happens when a log has just gone.
  if (!isSilence(error)) return error;
  try {
    const ask = ownSubject === undefined ? askStream(connection) : askAsWriter(connection, ownSubject);
    return (await ask) ?? error;
  } catch (cause) {
    const server = `nats-server at ${connection.getServer()}`;
    if (cause instanceof NatsError && cause.code === ErrorCode.NoResponders)
      return ownSubject === undefined || connection.info?.jetstream === false
        ? new LogFault(`${server} has no JetStream, or not yet`, { cause })
        : lost;
    if (await greets(connection)) return ownSubject === undefined ? silent : mute;
    return new LogFault(`${server} does not answer`, { cause });
  }
};
