import type { NatsConnection } from 'nats';
import { z } from 'zod';
import { readJson } from '../files/read-json.ts';
import { followStream, type Handed } from '../stream/follow-stream.ts';
import { logManager, outputStream } from '../stream/provision.ts';

/** Where one attempt's output goes. */
export interface OutputOf {
  fleet: string;
  host: string;
  iteration: string;
  step: string;
  attempt: number;
}

export interface OutputLine {
  host: string;
  step: string;
  attempt: number;
  time: string;
  line: string;
}

const longestLine = 4_000;

const Line = z.object({ time: z.string(), line: z.string() });

/**
 * A writer of output lines. It never waits and never fails: output is for people, not evidence, and a step goes on
 * without the log.
 * @param connected the connection, once there is one.
 */
export const createOutputWriter = (
  connected: () => NatsConnection | undefined,
  of: OutputOf,
): ((line: string) => void) => {
  const subject = `ka-out.${of.fleet}.${of.host}.${of.iteration}.${of.step}.${of.attempt}`;
  return (line) => {
    try {
      connected()?.publish(
        subject,
        JSON.stringify({ time: new Date().toISOString(), line: line.slice(0, longestLine) }),
      );
    } catch {
      // The connection is closed, or is closing.
    }
  };
};

/**
 * Calls `onLine` for each output line of an iteration's steps, from the first one kept; with `follow`, until `signal`
 * fires.
 */
export const readOutput = async (
  connection: NatsConnection,
  of: { fleet: string; iteration: string; step?: string },
  options: { follow?: boolean; fromNow?: boolean; signal?: AbortSignal },
  onLine: (line: OutputLine) => void,
): Promise<void> => {
  const lastSequence = async () => {
    const manager = await logManager(connection);
    return (await manager.streams.info(outputStream)).state.last_seq;
  };
  const from = options.fromNow ? (await lastSequence()) + 1 : 1;
  // That this stream drops old messages is not a cut. A stream that ends before what was read is a new one: go on after
  // its end.
  const guard = {
    isHeld: async (handed: readonly Handed[]) => (await lastSequence()) >= (handed.at(-1)?.sequence ?? 0),
    onCut: async () => (await lastSequence()) + 1,
  };
  await followStream(
    connection,
    {
      stream: outputStream,
      filter: `ka-out.${of.fleet}.*.${of.iteration}.${of.step ?? '*'}.*`,
      from,
      whilePending: !options.follow,
      ...(options.follow ? { guard } : {}),
      signal: options.signal,
    },
    async (message) => {
      const [, , host = '', , step = '', attempt] = message.subject.split('.');
      const read = readJson(Line, message.data);
      if (read) onLine({ host, step, attempt: Number(attempt), ...read });
      return 'more';
    },
  );
};
