import type { NatsConnection } from 'nats';
import { z } from 'zod';
import { type AttemptId, formatAttempt } from '../../schemas/attempt-id.ts';
import { FleetName, HostName, IterationName } from '../../schemas/names.ts';
import { isHost, type Trust } from '../signing/trust.ts';
import { payloadTypes, type WriterKey } from '../signing/writer-key.ts';
import { followStream, type Handed } from '../stream/follow-stream.ts';
import { logManager, outputStream } from '../stream/provision.ts';
import { type NotShown, openSigned, publishSigned, type ShownMessage } from './signed-message.ts';

export interface OutputLine {
  host: string;
  step: string;
  attempt: number;
  time: string;
  line: string;
}

const longestLine = 4_000;

/**
 * Lines of one attempt's output, as its host signs them. They name the attempt and their place in its output, so that
 * nobody can show them as another attempt's, or in another order.
 */
const Lines = z.object({
  fleet: FleetName,
  host: HostName,
  iteration: IterationName,
  step: z.string(),
  attempt: z.int().min(1),
  /** How many events the host had written when it began to count: a host that was started again counts from 1. */
  after: z.int().min(0),
  /** The number of the first of these lines. */
  first: z.int().min(1),
  lines: z.array(z.object({ time: z.string(), line: z.string() })).min(1),
});
type Lines = z.infer<typeof Lines>;

const subjectOf = ({ fleet, host, iteration, step, attempt }: Omit<Lines, 'after' | 'first' | 'lines'>) =>
  `ka-out.${fleet}.${host}.${iteration}.${step}.${attempt}`;

/** A message is signed and sent after so long, or with so many lines or characters. */
const gatherMs = 50;
const mostLines = 1_000;
const mostCharacters = 64 * 1024;

/** Takes the lines of one run of a step. It never waits and never fails: a step goes on without the log. */
export interface OutputWriter {
  write(line: string): void;
  /** Sends what it has gathered. */
  end(): void;
}

/** How many attempts' lines are counted on: a step that is tried again goes on where it was. */
const attemptsKept = 1_000;

/**
 * Makes the writers of a host's output. Output is for people, and no evidence.
 * @param connected the connection, once there is one. @param after how many events the host has written by now.
 */
export const createOutputs = ({
  fleet,
  host,
  key,
  connected,
  after,
}: {
  fleet: string;
  host: string;
  key: WriterKey;
  connected: () => NatsConnection | undefined;
  after: () => number;
}): ((of: AttemptId) => OutputWriter) => {
  const counted = new Map<string, { after: number; next: number }>();
  const countOf = (of: AttemptId) => {
    const name = formatAttempt(of);
    const count = counted.get(name) ?? { after: after(), next: 1 };
    counted.delete(name);
    counted.set(name, count);
    const [oldest] = counted.keys();
    if (counted.size > attemptsKept && oldest !== undefined) counted.delete(oldest);
    return count;
  };
  return ({ iteration, step, attempt }) => {
    const place = { fleet, host, iteration, step, attempt };
    const count = countOf(place);
    let lines: Lines['lines'] = [];
    let characters = 0;
    let timer: NodeJS.Timeout | undefined;
    const end = () => {
      clearTimeout(timer);
      timer = undefined;
      if (lines.length === 0) return;
      const said: Lines = { ...place, after: count.after, first: count.next, lines };
      count.next += lines.length;
      [lines, characters] = [[], 0];
      try {
        const connection = connected();
        if (connection) publishSigned(connection, { type: payloadTypes.output, key }, subjectOf(place), said);
      } catch {
        // The connection is closed, or is closing.
      }
    };
    return {
      write(line) {
        const kept = line.slice(0, longestLine);
        lines.push({ time: new Date().toISOString(), line: kept });
        characters += kept.length;
        if (lines.length >= mostLines || characters >= mostCharacters) end();
        else timer ??= setTimeout(end, gatherMs);
      },
      end,
    };
  };
};

/** A message of the output stream that is not shown. */
export interface RefusedOutput extends NotShown {
  /** The host that its subject names. */
  host: string;
  sequence: number;
  subject: string;
}

/** Lines of an attempt that are not in the stream, by their numbers. */
export interface MissingLines {
  host: string;
  step: string;
  attempt: number;
  first: number;
  last: number;
}

/** What is reported to a reader besides lines. */
export interface OutputReports {
  /** A message is not shown: it is not its host's, or not in its place. */
  onRefused?: (refused: RefusedOutput) => void;
  /** The stream does not hold these lines: it keeps only the newest, or they were never sent, or the server hides them. */
  onMissing?: (missing: MissingLines) => void;
  /** Whether that host is asked for that attempt. What any other host writes about it is not shown. */
  isAsked?: (of: Pick<OutputLine, 'host' | 'step' | 'attempt'>) => boolean | Promise<boolean>;
}

/** Whether lines come after those before them, and which are missing in between. */
const createPlaces = (isFromNow: boolean) => {
  const places = new Map<string, { after: number; next: number }>();
  return (said: Lines): { refused: NotShown } | { missing?: { first: number; last: number } } => {
    const { host, after, first, lines } = said;
    const key = `${formatAttempt(said)} ${host}`;
    const last = places.get(key);
    if (last && (after < last.after || (after === last.after && first < last.next)))
      return {
        refused: {
          cause: 'order',
          why: `it holds ${host}'s lines from ${first} on, which come before those that are shown already`,
        },
      };
    const expected = last?.after === after ? last.next : 1;
    places.set(key, { after, next: first + lines.length });
    return first > expected && !(last === undefined && isFromNow)
      ? { missing: { first: expected, last: first - 1 } }
      : {};
  };
};

/** Reads a message of the output stream. */
const openLines = (trust: Trust, message: ShownMessage): { said: Lines } | { refused: NotShown } => {
  const host = message.subject.split('.')[2] ?? '';
  if (!isHost(trust, host))
    return { refused: { cause: 'writer', why: `the fleet's file has no host "${host}"` } };
  const opened = openSigned(trust, { type: payloadTypes.output, schema: Lines, by: host }, message);
  if ('refused' in opened) return opened;
  const { content: said } = opened;
  if (said.fleet === trust.fleet && said.host === host && subjectOf(said) === message.subject)
    return { said };
  const why = `it is ${said.host}'s output of ${formatAttempt(said)} in ${said.fleet}, which is not what its subject says`;
  return { refused: { cause: 'place', why } };
};

/**
 * Calls `onLine` for each output line of an iteration's steps, from the first one kept; with `follow`, until `signal`
 * fires. Only what its host has signed is shown, in its order.
 * @param trust without keys that were revoked.
 */
export const readOutput = async (
  connection: NatsConnection,
  trust: Trust,
  of: { iteration: string; step?: string },
  options: { follow?: boolean; fromNow?: boolean; signal?: AbortSignal } & OutputReports,
  onLine: (line: OutputLine) => void,
): Promise<void> => {
  const { onRefused = () => undefined, onMissing = () => undefined, isAsked = () => true } = options;
  const lastSequence = async () => {
    const manager = await logManager(connection);
    return (await manager.streams.info(outputStream)).state.last_seq;
  };
  const from = options.fromNow ? (await lastSequence()) + 1 : 1;
  const placed = createPlaces(options.fromNow === true);
  // That this stream drops old messages is not a cut. A stream that ends before what was read is a new one: go on after
  // its end.
  const guard = {
    isHeld: async (handed: readonly Handed[]) => (await lastSequence()) >= (handed.at(-1)?.sequence ?? 0),
    onCut: async () => (await lastSequence()) + 1,
  };
  const show = async (message: ShownMessage): Promise<NotShown | undefined> => {
    const opened = openLines(trust, message);
    if ('refused' in opened) return opened.refused;
    const { host, step, attempt, lines } = opened.said;
    if (!(await isAsked({ host, step, attempt })))
      return {
        cause: 'writer',
        why: `${host} is not the host that is asked for ${formatAttempt(opened.said)}`,
      };
    const place = placed(opened.said);
    if ('refused' in place) return place.refused;
    if (place.missing) onMissing({ host, step, attempt, ...place.missing });
    for (const line of lines) onLine({ host, step, attempt, ...line });
    return undefined;
  };
  await followStream(
    connection,
    {
      stream: outputStream,
      filter: `ka-out.${trust.fleet}.*.${of.iteration}.${of.step ?? '*'}.*`,
      from,
      whilePending: !options.follow,
      ...(options.follow ? { guard } : {}),
      signal: options.signal,
    },
    async (message) => {
      const refused = await show(message);
      const { seq: sequence, subject } = message;
      if (refused) onRefused({ ...refused, host: subject.split('.')[2] ?? '', sequence, subject });
      return 'more';
    },
  );
};
