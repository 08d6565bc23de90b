import { AckPolicy, DeliverPolicy, type NatsConnection, nuid } from 'nats';
import { outputStream } from './provision.ts';

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

/**
 * A writer of output lines. It never waits and never fails: output is for people, not evidence, and a step goes on
 * without the log.
 */
export const createOutputWriter = (connection: NatsConnection, of: OutputOf): ((line: string) => void) => {
  const subject = `ka-out.${of.fleet}.${of.host}.${of.iteration}.${of.step}.${of.attempt}`;
  return (line) => {
    if (connection.isClosed()) return;
    connection.publish(
      subject,
      JSON.stringify({ time: new Date().toISOString(), line: line.slice(0, longestLine) }),
    );
  };
};

/** Hands over the output of an iteration's steps, from the first line kept; with `follow`, until `signal` fires. */
export const readOutput = async (
  connection: NatsConnection,
  of: { fleet: string; iteration: string; step?: string },
  options: { follow?: boolean; fromNow?: boolean; signal?: AbortSignal },
  onLine: (line: OutputLine) => void,
): Promise<void> => {
  const manager = await connection.jetstreamManager();
  const { name, num_pending } = await manager.consumers.add(outputStream, {
    name: nuid.next(),
    ack_policy: AckPolicy.None,
    deliver_policy: options.fromNow ? DeliverPolicy.New : DeliverPolicy.All,
    filter_subject: `ka-out.${of.fleet}.*.${of.iteration}.${of.step ?? '*'}.*`,
    mem_storage: true,
    inactive_threshold: 60_000_000_000,
  });
  let pending = num_pending;
  if (pending === 0 && !options.follow) return;
  const consumer = await connection.jetstream().consumers.get(outputStream, name);
  const messages = await consumer.consume({ max_messages: 1_000 });
  const stop = () => messages.stop();
  options.signal?.addEventListener('abort', stop, { once: true });
  try {
    for await (const message of messages) {
      const [, , host = '', , step = '', attempt] = message.subject.split('.');
      const { time, line } = message.json<{ time: string; line: string }>();
      onLine({ host, step, attempt: Number(attempt), time, line });
      pending -= 1;
      if (pending <= 0 && !options.follow) return;
    }
  } finally {
    options.signal?.removeEventListener('abort', stop);
    messages.stop();
  }
};
