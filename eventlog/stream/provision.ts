import { isDeepStrictEqual } from 'node:util';
import {
  AckPolicy,
  type ConsumerConfig,
  type ConsumerInfo,
  DeliverPolicy,
  DiscardPolicy,
  type JetStreamManager,
  type NatsConnection,
  NatsError,
  nanos,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from 'nats';
import type { LogLimits } from '../../schemas/log-limits.ts';

/**
 * The stream of events, the stream of values that are too large for an event, the bounded stream of the steps' output,
 * and the stream of each host's last presence.
 */
export const eventStream = 'KA';
export const blobStream = 'KA_BLOBS';
export const outputStream = 'KA_OUT';
export const presenceStream = 'KA_PRESENCE';

/** Every request, and every supersession, that is for one host. */
export const requestsFor = (fleet: string, host: string): string => `ka.${fleet}.coordinator.*.*.*.${host}`;

/** The subjects that the log listens to: every event of the fleet. */
export const openTo = (fleet: string): string[] => [`ka.${fleet}.>`];
/** Whether the log accepts every event. While it is being restored it accepts one subject at a time, or none. */
export const isOpenTo = (subjects: readonly string[]): boolean => {
  const [only = '', ...others] = subjects;
  const [, fleet = ''] = only.split('.');
  return others.length === 0 && openTo(fleet).includes(only);
};
/** The subject that a closed log listens to: only the administrator may publish there. */
export const closedTo = (fleet: string): string[] => [`ka-closed.${fleet}`];

type WantedStream = Partial<StreamConfig> & { name: string };

/** In every stream. With a rollup header, a publisher would erase what the stream holds of others. */
const inEachStream = {
  num_replicas: 1,
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  allow_rollup_hdrs: false,
} as const;

/** The log's configuration. @param subjects what it listens to. */
export const eventStreamConfig = (
  subjects: string[],
  { eventsBytes }: Pick<LogLimits, 'eventsBytes'>,
): WantedStream => ({
  ...inEachStream,
  name: eventStream,
  subjects,
  max_bytes: eventsBytes,
  discard: DiscardPolicy.New,
  deny_delete: true,
  deny_purge: true,
  allow_direct: true,
});

/**
 * A host's durable consumer.
 * @param from The first sequence that it delivers; 1 stands for everything that the log has.
 */
export const durableConfig = (fleet: string, host: string, from = 1): Partial<ConsumerConfig> => ({
  durable_name: host,
  filter_subject: requestsFor(fleet, host),
  ack_policy: AckPolicy.Explicit,
  ack_wait: nanos(5_000), // a request is acked once it is noted; what a dead agent had is redelivered soon
  max_deliver: -1,
  ...(from <= 1
    ? { deliver_policy: DeliverPolicy.All }
    : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from }),
});

/** The client's API for streams. Its own first check asks about the whole account, which readers may not do. */
export const logManager = (connection: NatsConnection): Promise<JetStreamManager> =>
  connection.jetstreamManager({ checkAPI: false });

const consumerNotFound = 10014;
export const streamNotFound = 10059;

/** Returns what was asked for; undefined if the server answers that it is not there. */
const unlessMissing = async <Found>(asked: Promise<Found>, notFound: number): Promise<Found | undefined> => {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.err_code === notFound) return undefined;
    throw error;
  }
};

/** The log as the server describes it; undefined if there is none. */
export const logInfo = (manager: JetStreamManager): Promise<StreamInfo | undefined> =>
  unlessMissing(manager.streams.info(eventStream), streamNotFound);

/** A host's durable as the server describes it; undefined if there is none. */
export const durableInfo = (manager: JetStreamManager, host: string): Promise<ConsumerInfo | undefined> =>
  unlessMissing(manager.consumers.info(eventStream, host), consumerNotFound);

/**
 * Makes a stream, or gives it this configuration if it was made with another one.
 * @throws {StreamTooLarge} if that would cut it.
 */
const makeStream = async (manager: JetStreamManager, wanted: WantedStream): Promise<void> => {
  const there = await unlessMissing(manager.streams.info(wanted.name), streamNotFound);
  if (!there) return void (await manager.streams.add(wanted));
  // The server leaves out what is false.
  const isAsWanted = Object.entries(wanted).every(([key, value]) =>
    isDeepStrictEqual(there.config[key as keyof StreamConfig] ?? false, value),
  );
  if (isAsWanted) return;
  const { bytes } = there.state;
  const { name, max_bytes: limit = bytes, discard } = wanted;
  // nats-server 2.9 makes room for a lower limit even in a stream that discards what is new.
  if (discard === DiscardPolicy.New && bytes > limit) throw new StreamTooLarge(name, bytes, limit);
  await manager.streams.update(name, wanted);
};

/** A stream holds more than it is to hold, and nothing of it may be dropped. */
export class StreamTooLarge extends Error {
  override readonly name = 'StreamTooLarge';

  constructor(stream: string, bytes: number, limit: number) {
    super(
      `the stream ${stream} holds ${bytes} bytes, and the fleet's file lets it hold ${limit}: nothing is dropped, so raise it there (log), then: ka fleet make-log`,
    );
  }
}

/** A message of the blob stream is a chunk of 512 KiB at most, and its headers. */
const largestChunkBytes = 516 * 1024;

/**
 * Makes the stream of blobs, if it is not there. It never drops a blob to make room: when it is full, it accepts no
 * more.
 */
export const provisionBlobs = (
  manager: JetStreamManager,
  fleet: string,
  { blobsBytes }: LogLimits,
): Promise<void> =>
  makeStream(manager, {
    ...inEachStream,
    name: blobStream,
    subjects: [`ka-blob.${fleet}.>`],
    discard: DiscardPolicy.New,
    max_bytes: blobsBytes,
    max_msg_size: largestChunkBytes,
    deny_delete: true,
    deny_purge: true,
    allow_direct: true,
  });

/** The subject of a host's presence: it has no other. */
export const presenceSubject = (fleet: string, host: string): string => `ka-presence.${fleet}.${host}`;

/** Makes the other streams and the hosts' durables, if they are not there. An existing durable keeps its position. */
export const provisionBesideLog = async (
  manager: JetStreamManager,
  fleet: string,
  hosts: readonly string[],
  limits: LogLimits,
): Promise<void> => {
  await provisionBlobs(manager, fleet, limits);
  await makeStream(manager, {
    ...inEachStream,
    name: outputStream,
    subjects: [`ka-out.${fleet}.>`],
    discard: DiscardPolicy.Old,
    max_bytes: limits.outputBytes,
    max_age: nanos(7 * 24 * 3600 * 1000),
  });
  await makeStream(manager, {
    ...inEachStream,
    name: presenceStream,
    subjects: [presenceSubject(fleet, '*')],
    discard: DiscardPolicy.Old,
    max_msgs_per_subject: 1,
    max_msg_size: 128 * 1024,
    max_bytes: 64 * 1024 * 1024,
  });
  for (const host of hosts)
    if (!(await durableInfo(manager, host)))
      await manager.consumers.add(eventStream, durableConfig(fleet, host));
};

/**
 * Makes the fleet's streams and each host's durable consumer, if they are not there yet, and gives existing streams the
 * configuration of this version. Needs STREAM.CREATE and STREAM.UPDATE. A log that is being restored is left alone.
 * @throws {StreamTooLarge} @throws {NatsError} if a stream is there with a configuration that can't be changed.
 */
export const provision = async (
  connection: NatsConnection,
  fleet: string,
  hosts: readonly string[],
  limits: LogLimits,
): Promise<void> => {
  const manager = await logManager(connection);
  const there = await logInfo(manager);
  if (there && !isOpenTo(there.config.subjects)) return;
  await makeStream(manager, eventStreamConfig(openTo(fleet), limits));
  await provisionBesideLog(manager, fleet, hosts, limits);
};
